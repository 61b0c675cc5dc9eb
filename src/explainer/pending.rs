//! Explanations that are computed elsewhere while the caller goes on.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Cancel, Explained, Explainer, Methods, Request, Target, ToInput};
use crate::error::Result;

/// Explanations in the making, for any executor. Dropping it ends the work.
///
/// # Panics
/// If it is polled again after it was ready, or if the work panicked.
#[derive(Debug)]
#[must_use = "dropping it ends the work"]
pub struct Pending<T = Explained> {
    shared: Arc<Mutex<Shared<T>>>,
    cancel: Cancel,
}

#[derive(Debug)]
struct Shared<T> {
    done: Option<std::result::Result<Result<T>, Panic>>,
    /// What was done has been handed over.
    is_over: bool,
    waker: Option<Waker>,
}

/// What a panic left.
type Panic = Box<dyn Any + Send>;

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Explainer {
    /// [`explain`](Self::explain) on a thread of the pool that the CPU backend uses, too; the
    /// calling thread does not wait.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use clrp::image::Picture;
    /// use clrp::models::Model;
    /// use clrp::scene::{Scene, Split};
    /// use clrp::{Explainer, Method, Target};
    ///
    /// # async fn example() -> clrp::Result<()> {
    /// let model = Model::find("digits")?;
    /// let weights = model.bundled().expect("the digits network is bundled")?;
    /// let network = model.network(model.input_shape(), weights)?;
    /// let explainer = Arc::new(Explainer::builder(network, model.preprocess()).build()?);
    /// let scene = Scene::render(Split::Test, 2, 1, 0);
    /// let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
    /// let explained = explainer.explain_async(picture, Method::Clrp1, Target::top(1)).await?;
    /// # let _ = explained;
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain_async(
        self: &Arc<Self>,
        image: impl ToInput + Send + 'static,
        methods: impl Into<Methods>,
        target: impl Into<Target>,
    ) -> Pending {
        let request = Request::new(methods, target);
        self.spawn(request, move |explainer, request| {
            let explained = explainer.explain_all(std::slice::from_ref(&image), request)?;
            Ok(explained.into_iter().next().expect("there is one for each picture"))
        })
    }

    /// [`explain_all`](Self::explain_all) on a thread of that pool. The request's progress is told
    /// there.
    pub fn explain_all_async(
        self: &Arc<Self>,
        images: Vec<impl ToInput + Send + 'static>,
        request: Request<'static>,
    ) -> Pending<Vec<Explained>> {
        self.spawn(request, move |explainer, request| explainer.explain_all(&images, request))
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        request: Request<'static>,
        work: impl FnOnce(&Self, &Request<'_>) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        // Its own: one of the caller's may end other work, too.
        let cancel = Cancel::new();
        let request = request.cancel(&cancel);
        let shared = Arc::new(Mutex::new(Shared { done: None, is_over: false, waker: None }));
        let pending = Pending { shared: shared.clone(), cancel: cancel.clone() };
        let explainer = self.clone();
        rayon::spawn(move || {
            // A panic is the caller's, not the pool's. The explainer and the request go with the
            // closure: whoever is woken may be the last to hold the one, and wait for the end of
            // what the other's progress holds.
            let done = catch_unwind(AssertUnwindSafe(move || work(&explainer, &request)));
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

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = lock(&self.shared);
        assert!(!shared.is_over, "polled again after it was ready");
        let Some(done) = shared.done.take() else {
            shared.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        shared.is_over = true;
        match done {
            Ok(explained) => Poll::Ready(explained),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
