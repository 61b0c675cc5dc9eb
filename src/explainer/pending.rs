//! Explanations that are computed elsewhere while the caller goes on.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Cancel, Explained, Explainer, Methods, Request, Target};
use crate::error::Result;
use crate::tensor::Tensor;

/// An explanation in the making, for any executor. Dropping it ends the work.
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Mutex<Shared>>,
    cancel: Cancel,
}

#[derive(Default, Debug)]
struct Shared {
    done: Option<std::result::Result<Result<Explained>, Panic>>,
    waker: Option<Waker>,
}

/// What a panic left.
type Panic = Box<dyn Any + Send>;

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Explainer {
    /// [`explain`](Self::explain) on a thread of the pool that the CPU backend uses, too; the
    /// calling thread does not wait.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use clrp::models::Model;
    /// use clrp::{Explainer, Method, Target, Tensor};
    ///
    /// # async fn example() -> clrp::Result<()> {
    /// let model = Model::find("digits")?;
    /// let weights = model.bundled().expect("the digits network is bundled")?;
    /// let network = model.network(model.input_shape(), weights)?;
    /// let explainer = Arc::new(Explainer::builder(network, model.preprocess()).build()?);
    /// let picture = Tensor::zeros(model.input_shape());
    /// let explained = explainer.explain_async(picture, Method::Clrp1, Target::top(1)).await?;
    /// # let _ = explained;
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain_async(
        self: &Arc<Self>,
        input: Tensor,
        methods: impl Into<Methods>,
        target: impl Into<Target>,
    ) -> Pending {
        let (methods, target) = (methods.into(), target.into());
        let (shared, cancel) = (Arc::<Mutex<Shared>>::default(), Cancel::new());
        let pending = Pending { shared: shared.clone(), cancel: cancel.clone() };
        let explainer = self.clone();
        rayon::spawn(move || {
            // A panic is the caller's, not the pool's.
            let done = catch_unwind(AssertUnwindSafe(|| {
                let request = Request::new(methods, target).cancel(&cancel);
                let explained = explainer.explain_all(&[input], &request)?;
                Ok(explained.into_iter().next().expect("there is one for each picture"))
            }));
            // Whoever is woken may be the last to hold the explainer, and may poll at once.
            drop(explainer);
            let waker = {
                let mut shared = lock(&shared);
                shared.done = Some(done);
                shared.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        pending
    }
}

impl Future for Pending {
    type Output = Result<Explained>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = lock(&self.shared);
        match shared.done.take() {
            Some(Ok(explained)) => Poll::Ready(explained),
            Some(Err(panic)) => resume_unwind(panic),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
