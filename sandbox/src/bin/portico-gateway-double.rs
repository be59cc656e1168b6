//! The gateway double with two APIs behind it, as a process: `portico-gateway-double ADDRESS SECRET_FILE`, where the file
//! holds what `X-Tyk-Authorization` must carry. It prints its URL once it answers, and ends on SIGTERM.

use std::{
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
};

use portico_sandbox::{
    echo,
    gateway::{self, Settings, seed},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: portico-gateway-double ADDRESS SECRET_FILE".into());
    };
    let listen: SocketAddr = address.parse()?;
    let secret = std::fs::read_to_string(file)?.trim().to_owned();
    let echo = echo::start(echo::Settings::default()).await?;
    let gateway = gateway::start(Settings {
        listen,
        secret,
        apis: vec![
            seed::no_operation_api(),
            seed::api("payments", "Payments", "/payments/", &echo.url()),
            seed::api("orders", "Orders", "/orders/", &echo.url()),
        ],
        policies: vec![seed::no_operation_policy()],
        ..Settings::default()
    })
    .await?;
    writeln!(io::stdout(), "{}", gateway.url())?;
    stopped().await?;
    gateway.stop().await;
    Ok(())
}

/// Waits for SIGTERM, as PID 1 has no default for it, or Ctrl-C.
async fn stopped() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
