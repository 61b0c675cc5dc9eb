//! What the tests share: backends, tolerances, random numbers, networks, dense matrices.

mod backend;
mod dense;
mod ledger;
mod network;
mod random;
mod tolerance;

pub(crate) use backend::{Backend, backends, fast, reference, say};
pub(crate) use dense::Matrix;
pub(crate) use ledger::hold_ledgers;
pub(crate) use network::{
    Answer, Question, Recipe, bounds, drawn_weights, filled, pictures, value, values, weights,
};
pub(crate) use random::Random;
pub(crate) use tolerance::{
    CHANGED, DIVIDED_BY_SUMS, EXACT, FAST, FAST_CONTRAST, KEPT_F32, LEDGER_F32, LEDGER_F64,
    MAP_F32, MAP_F64, MAP_TORCH_F64, MEASURED_F64, NO_DIGITS_LEFT, NO_SCORE, OF_F32_MAPS,
    ONE_PASS_F64, POWER_F32, REFERENCE_ROUNDING, ROUNDED_F32, RULE_F32, SAME_F32, SHARES_F32,
    SMALL_F32, SUMMED_F16, SUMMED_F32, SUMMED_F64, assert_close, assert_each_close, distance,
};
