//! The network between the product and Temporal, which can fail: connections are cut, answers are
//! lost after the server had the request, and a part that makes a certain call can be held there.

use std::{future::pending, net::Ipv4Addr, sync::Arc};

use hyper::{
    Request, Response, body::Incoming, client::conn::http2::SendRequest, service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    failpoints::{Failpoints, Moment},
    part::Part,
};

/// A gRPC proxy in front of one port, with a port of its own for each part.
pub(crate) struct Proxy {
    ports: Vec<(Part, u16)>,
    network: watch::Sender<Network>,
}

#[derive(Clone, Copy, Default)]
struct Network {
    /// How often all connections were cut.
    cuts: u64,
    /// Whether answers are lost.
    losing: bool,
}

/// The connections of one part to the server.
#[derive(Clone)]
struct Line {
    part: Part,
    target: u16,
    network: watch::Receiver<Network>,
    failpoints: Arc<Failpoints>,
}

impl Proxy {
    /// Starts forwarding to a port of this machine.
    pub(crate) async fn to(
        target: u16,
        parts: &[Part],
        failpoints: &Arc<Failpoints>,
    ) -> std::io::Result<Proxy> {
        let (network, _) = watch::channel(Network::default());
        let mut ports = Vec::new();
        for part in parts {
            let listener =
                TcpListener::bind((Ipv4Addr::LOCALHOST, countersign_e2e::free_port())).await?;
            ports.push((*part, listener.local_addr()?.port()));
            let network = network.subscribe();
            let line = Line { part: *part, target, network, failpoints: failpoints.clone() };
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let line = line.clone();
                    // Both ends notice a broken connection; nobody else has to.
                    tokio::spawn(async move { line.connect(client).await });
                }
            });
        }
        Ok(Proxy { ports, network })
    }

    /// Temporal's address for one of the parts.
    pub(crate) fn address(&self, part: Part) -> String {
        let port = self.ports.iter().find(|(each, _)| *each == part).map_or(0, |(_, port)| *port);
        format!("127.0.0.1:{port}")
    }

    /// Cuts all connections; new ones are accepted.
    pub(crate) fn cut(&self) {
        self.network.send_modify(|network| network.cuts += 1);
    }

    /// Lets requests reach Temporal and loses their answers, until [`clear`](Self::clear).
    pub(crate) fn lose_answers(&self) {
        self.network.send_modify(|network| network.losing = true);
    }

    /// Ends the loss of answers, and cuts the connections that lost some: they are of no use.
    pub(crate) fn clear(&self) {
        self.network.send_modify(|network| {
            network.cuts += u64::from(network.losing);
            network.losing = false;
        });
    }
}

impl Line {
    /// Forwards one connection, until one side closes it or it is cut.
    async fn connect(mut self, client: TcpStream) -> anyhow::Result<()> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let executor = TokioExecutor::new();
        let (calls, to_server) =
            hyper::client::conn::http2::handshake(executor.clone(), TokioIo::new(server)).await?;
        let line = self.clone();
        let forward = service_fn(move |request| line.clone().forward(request, calls.clone()));
        let to_client = hyper::server::conn::http2::Builder::new(executor)
            .serve_connection(TokioIo::new(client), forward);
        let cuts = self.network.borrow_and_update().cuts;
        tokio::select! {
            ended = to_server => ended?,
            ended = to_client => ended?,
            _ = self.network.wait_for(|network| network.cuts != cuts) => {}
        }
        Ok(())
    }

    async fn forward(
        self,
        request: Request<Incoming>,
        mut calls: SendRequest<Incoming>,
    ) -> hyper::Result<Response<Incoming>> {
        let rpc = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let held = |moment| self.failpoints.hit(&rpc, moment, self.part);
        if held(Moment::Before) {
            // Until the connection is closed.
            return pending().await;
        }
        let answer = calls.send_request(request);
        if held(Moment::During) {
            tokio::spawn(answer);
            return pending().await;
        }
        let answer = answer.await?;
        if held(Moment::After) || self.network.borrow().losing {
            return pending().await;
        }
        Ok(answer)
    }
}
