//! Between the network and the driver's loop: who may speak, what is a message, and nothing else.
//!
//! Who somebody is stands in the certificate of the connection. A node of a cluster that is served here may open
//! its session and look at its cluster; an operator may look and ask. Everybody else is turned away, counted and
//! logged. Messages are converted here and refused here when they are none.

mod admin;
mod door;
mod session;

pub use door::Door;

use crate::driver::{Command, Outgoing};
use core::pin::Pin;
use picket_proto::v1;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// Answers the calls of `picket.v1.Witness`.
#[derive(Clone, Debug)]
pub struct Service {
    door: Door,
}

impl Service {
    /// Lets in whom the door knows.
    #[must_use]
    pub const fn new(door: Door) -> Self {
        Self { door }
    }
}

type SessionStream = Pin<Box<dyn Stream<Item = Outgoing> + Send>>;
type StatusStream = Pin<Box<dyn Stream<Item = Result<v1::WitnessStatus, Status>> + Send>>;

#[tonic::async_trait]
impl v1::witness_server::Witness for Service {
    type SessionStream = SessionStream;
    type WatchStream = StatusStream;

    async fn session(
        &self,
        request: Request<tonic::Streaming<v1::ToWitness>>,
    ) -> Result<Response<SessionStream>, Status> {
        session::open(&self.door, request).await
    }

    async fn admin(&self, request: Request<v1::AdminRequest>) -> Result<Response<v1::AdminAnswer>, Status> {
        admin::ask(&self.door, request).await
    }

    async fn status(
        &self,
        request: Request<v1::WitnessStatusRequest>,
    ) -> Result<Response<v1::WitnessStatus>, Status> {
        admin::status(&self.door, &request).await
    }

    async fn watch(
        &self,
        request: Request<v1::WitnessStatusRequest>,
    ) -> Result<Response<StatusStream>, Status> {
        admin::watch(&self.door, &request).await
    }
}

/// The answer when the loop has ended.
fn over() -> Status {
    Status::unavailable("the witness ends")
}

async fn tell(door: &Door, command: Command) -> Result<(), Status> {
    door.driver().tell(command).await.map_err(|_| over())
}
