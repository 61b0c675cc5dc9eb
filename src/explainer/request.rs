//! What a caller asks for, and how it follows the work.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::target::Target;
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
        let mut unique = Vec::new();
        for method in methods.into().0 {
            if !unique.contains(&method) {
                unique.push(method);
            }
        }
        Self {
            methods: unique,
            target: target.into(),
            layers: Vec::new(),
            ledger: false,
            progress: None,
            cancels: Vec::new(),
        }
    }

    /// Maps at the outputs of these layers, too, of the methods that walk through them once
    /// (sampled methods and Grad-CAM have none), where their signal is there: a contrast like CLRP2
    /// only starts below the layers that make the target.
    #[must_use]
    pub fn layers(self, layers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { layers: layers.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whether each explanation by relevance tells what every layer got, handed down and lost.
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
}

/// Methods of a request: one, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        Self(vec![method])
    }
}

impl From<&[Method]> for Methods {
    fn from(methods: &[Method]) -> Self {
        Self(methods.to_vec())
    }
}

impl<const N: usize> From<[Method; N]> for Methods {
    fn from(methods: [Method; N]) -> Self {
        Self(methods.to_vec())
    }
}

impl From<Vec<Method>> for Methods {
    fn from(methods: Vec<Method>) -> Self {
        Self(methods)
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
