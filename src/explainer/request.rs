//! What a caller asks for, and how it follows the work.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::target::Target;
use crate::error::{Error, Result};
use crate::methods::Method;

/// What is wanted of pictures.
///
/// ```
/// use clrp::{Cancel, Method, Request, Target};
///
/// let cancel = Cancel::new();
/// let request = Request::new([Method::Lrp, Method::Clrp1], Target::top(2))
///     .layers(["features.4"])
///     .ledger(true)
///     .progress(|done| println!("{:.0} %", 100.0 * done))
///     .cancel(&cancel);
/// # let _ = request;
/// ```
#[derive(Clone)]
pub struct Request<'a> {
    pub(super) methods: Vec<Method>,
    pub(super) target: Target,
    pub(super) layers: Vec<String>,
    pub(super) ledger: bool,
    pub(super) progress: Option<Arc<dyn Fn(f64) + Send + Sync + 'a>>,
    pub(super) cancels: Vec<Cancel>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("methods", &self.methods)
            .field("target", &self.target)
            .field("layers", &self.layers)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// Maps of these methods for this target. A method that is named twice is computed once.
    pub fn new(methods: impl Into<Methods>, target: impl Into<Target>) -> Self {
        Self {
            methods: methods.into().0,
            target: target.into(),
            layers: Vec::new(),
            ledger: false,
            progress: None,
            cancels: Vec::new(),
        }
    }

    /// Maps at the outputs of these layers, too, of the methods that walk through them once
    /// ([`Method::has_layer_maps`]: sampled methods, Grad-CAM, guided Grad-CAM and random have
    /// none), where their signal is there: a contrast like CLRP2 only starts below the layers that
    /// make the target.
    #[must_use]
    pub fn layers(self, layers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { layers: layers.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whether each explanation by relevance tells what every layer got, handed down and lost. Signals
    /// that meet are then multiplied before they are added, so that maps may differ in their last digits.
    #[must_use]
    pub fn ledger(self, ledger: bool) -> Self {
        Self { ledger, ..self }
    }

    /// Is told from time to time which part of the work is done, 0 to 1.
    #[must_use]
    pub fn progress(self, progress: impl Fn(f64) + Send + Sync + 'a) -> Self {
        Self { progress: Some(Arc::new(progress)), ..self }
    }

    /// The work ends with [`Error::Cancelled`](crate::Error::Cancelled) soon after this is
    /// cancelled; of several, any.
    #[must_use]
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancels.push(cancel.clone());
        self
    }

    /// Whether the work goes on.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        match self.cancels.iter().any(Cancel::is_cancelled) {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

/// Methods of a request: one, or several, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        Self(vec![method])
    }
}

impl From<&[Method]> for Methods {
    fn from(methods: &[Method]) -> Self {
        methods.iter().copied().collect()
    }
}

impl<const N: usize> From<[Method; N]> for Methods {
    fn from(methods: [Method; N]) -> Self {
        methods.into_iter().collect()
    }
}

impl From<Vec<Method>> for Methods {
    fn from(methods: Vec<Method>) -> Self {
        methods.into_iter().collect()
    }
}

impl FromIterator<Method> for Methods {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        let mut unique = Vec::new();
        for method in methods {
            if !unique.contains(&method) {
                unique.push(method);
            }
        }
        Self(unique)
    }
}

impl From<Methods> for Vec<Method> {
    fn from(methods: Methods) -> Self {
        methods.0
    }
}

/// Ends work that runs elsewhere. Clones end the same work.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the work at its next step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
