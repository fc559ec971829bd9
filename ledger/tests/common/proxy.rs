//! A link that can be cut without either end being told: nothing closes, nothing arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

pub struct Proxy {
    pub addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Bytes that may still pass towards the target; every connection that meets the end is dead.
    budget: AtomicI64,
}

const UNLIMITED: i64 = i64::MAX / 2;

impl Proxy {
    pub async fn start(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State { budget: AtomicI64::new(UNLIMITED) });
        let accept_state = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let state = Arc::clone(&accept_state);
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    near.set_nodelay(true).unwrap();
                    far.set_nodelay(true).unwrap();
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::select! {
                        () = pass(near_read, far_write, &state) => {}
                        () = pass(far_read, near_write, &state) => {}
                    }
                });
            }
        });
        Proxy { addr, state }
    }

    pub fn cut(&self) {
        self.state.budget.store(0, Ordering::SeqCst);
    }

    pub fn heal(&self) {
        self.state.budget.store(UNLIMITED, Ordering::SeqCst);
    }

    /// Cut after so many more bytes, both ways together.
    pub fn cut_after(&self, bytes: i64) {
        self.state.budget.store(bytes, Ordering::SeqCst);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut buf = vec![0u8; 16 * 1024];
    let mut dead = false;
    while let Ok(n) = from.read(&mut buf).await {
        if n == 0 {
            return;
        }
        // Once bytes were swallowed the stream is broken, healed or not; its ends must find out.
        dead |= state.budget.fetch_sub(n as i64, Ordering::SeqCst) < n as i64;
        if !dead && to.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
}
