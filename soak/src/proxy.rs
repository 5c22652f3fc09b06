//! The network between the product and Temporal, which can fail: connections are cut, answers are
//! lost after the server had the request, and whoever makes a certain call can be caught at it.

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
    installation::Part,
    traps::{Moment, Traps},
};

/// A gRPC proxy in front of one port, with a port of its own for each of its users.
pub(crate) struct Proxy {
    ports: Vec<(Part, u16)>,
    weather: watch::Sender<Weather>,
}

#[derive(Clone, Copy, Default)]
struct Weather {
    /// How often all connections were cut.
    cuts: u64,
    /// Whether answers are lost.
    losing: bool,
}

/// Somebody's way to the server.
#[derive(Clone)]
struct Line {
    who: Part,
    target: u16,
    weather: watch::Receiver<Weather>,
    traps: Arc<Traps>,
}

impl Proxy {
    /// Starts forwarding to a port of this machine.
    pub(crate) async fn to(
        target: u16,
        users: &[Part],
        traps: &Arc<Traps>,
    ) -> std::io::Result<Proxy> {
        let (weather, _) = watch::channel(Weather::default());
        let mut ports = Vec::new();
        for who in users {
            let listener =
                TcpListener::bind((Ipv4Addr::LOCALHOST, countersign_e2e::free_port())).await?;
            ports.push((*who, listener.local_addr()?.port()));
            let weather = weather.subscribe();
            let line = Line { who: *who, target, weather, traps: traps.clone() };
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let line = line.clone();
                    // Whoever is cut off notices; there is nobody else to tell.
                    tokio::spawn(async move { line.connect(client).await });
                }
            });
        }
        Ok(Proxy { ports, weather })
    }

    /// Where one of the users finds Temporal.
    pub(crate) fn address(&self, user: Part) -> String {
        let port = self.ports.iter().find(|(who, _)| *who == user).map_or(0, |(_, port)| *port);
        format!("127.0.0.1:{port}")
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// From now on requests reach Temporal and their answers reach nobody, until the next
    /// [`clear`](Self::clear).
    pub(crate) fn lose_answers(&self) {
        self.weather.send_modify(|weather| weather.losing = true);
    }

    /// Ends the loss of answers. The connections that lost some are of no use, and are cut.
    pub(crate) fn clear(&self) {
        self.weather.send_modify(|weather| {
            weather.cuts += u64::from(weather.losing);
            weather.losing = false;
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
        let cuts = self.weather.borrow_and_update().cuts;
        tokio::select! {
            ended = to_server => ended?,
            ended = to_client => ended?,
            _ = self.weather.wait_for(|weather| weather.cuts != cuts) => {}
        }
        Ok(())
    }

    async fn forward(
        self,
        request: Request<Incoming>,
        mut calls: SendRequest<Incoming>,
    ) -> hyper::Result<Response<Incoming>> {
        let rpc = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let caught = |moment| self.traps.catches(&rpc, moment, self.who);
        if caught(Moment::Before) {
            // Until the connection is closed.
            return pending().await;
        }
        let answer = calls.send_request(request);
        if caught(Moment::During) {
            tokio::spawn(answer);
            return pending().await;
        }
        let answer = answer.await?;
        if caught(Moment::After) || self.weather.borrow().losing {
            return pending().await;
        }
        Ok(answer)
    }
}
