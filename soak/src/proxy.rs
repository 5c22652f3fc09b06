//! The network between the product and Temporal, which can fail: connections are cut, and answers
//! are lost after the server had the request.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A TCP proxy in front of one port.
pub(crate) struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
}

#[derive(Clone, Copy, Default)]
struct Weather {
    /// How often all connections were cut.
    cuts: u64,
    /// Whether answers are lost.
    losing: bool,
}

impl Proxy {
    /// Starts forwarding to a port of this machine.
    pub(crate) async fn to(target: u16) -> std::io::Result<Proxy> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, countersign_e2e::free_port())).await?;
        let port = listener.local_addr()?.port();
        let (weather, _) = watch::channel(Weather::default());
        let watched = weather.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let weather = watched.subscribe();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await {
                        // Whoever is cut off notices; there is nobody else to tell.
                        let _ = forward(client, server, weather).await;
                    }
                });
            }
        });
        Ok(Proxy { port, weather })
    }

    /// Where the product finds Temporal.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    mut weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let cuts = weather.borrow_and_update().cuts;
    let (mut asked, mut answered) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read? {
                0 => return Ok(()),
                read => server.write_all(&asked[..read]).await?,
            },
            read = server.read(&mut answered) => match read? {
                0 => return Ok(()),
                _ if weather.borrow().losing => {}
                read => client.write_all(&answered[..read]).await?,
            },
            changed = weather.changed() => {
                if changed.is_err() || weather.borrow_and_update().cuts != cuts {
                    return Ok(());
                }
            }
        }
    }
}
