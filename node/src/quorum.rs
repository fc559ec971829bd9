//! The quorum check of the mode `tcp_remote`: does a majority of listed hosts answer a TCP connection?
//!
//! Advisory. Each host is asked at an interval; one that was not asked yet, or whose answer is not there yet,
//! counts as unknown, not as silent.

use crate::config::Quorum;
use crate::driver::Wake;
use futures_util::future::join_all;
use picket_core::node::Input;
use picket_core::quorum::{Vote, tcp_remote};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Asks for ever, and tells the loop each time.
pub async fn run(quorum: Quorum, into: mpsc::Sender<Wake>) {
    let mut turn = interval(quorum.interval);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        if into.send(Input::RemoteVote(ask(&quorum).await).into()).await.is_err() {
            return;
        }
    }
}

async fn ask(quorum: &Quorum) -> Vote {
    let ask = |host: &picket_host::config::HostPort| {
        let connect = TcpStream::connect((host.host.clone(), host.port));
        async move { timeout(quorum.timeout, connect).await.is_ok_and(|connected| connected.is_ok()) }
    };
    let answers = join_all(quorum.hosts.iter().map(ask)).await;
    let answered = answers.iter().filter(|answered| **answered).count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    tcp_remote(count(answered), count(answers.len() - answered), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use picket_core::quorum::QuorumMode;
    use picket_host::config::HostPort;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_majority_of_hosts_must_answer() {
        let mut hosts = Vec::new();
        let mut open = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            hosts.push(HostPort { host: "127.0.0.1".to_owned(), port });
            open.push(listener);
        }
        let length = Duration::from_secs(5);
        let quorum = Quorum { mode: QuorumMode::TcpRemote, hosts, interval: length, timeout: length };
        for expected in [Vote::Won, Vote::Won, Vote::Lost, Vote::Lost] {
            assert_eq!(ask(&quorum).await, expected, "{} open", open.len());
            open.pop();
        }
    }
}
