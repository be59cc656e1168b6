//! `portico demo`: everything in one process, with nothing installed.
//!
//! * [`world`]: the servers around the portal (identity provider, gateway, API, mail catcher) and the portal
//! * [`seed`]: the example catalogue, made through that API
//! * [`check`]: `--check`, the whole flow walked through that API

pub mod check;
pub mod seed;
pub mod world;

use std::path::PathBuf;

use portico_runtime::shutdown::Shutdown;

use self::{
    seed::Catalogue,
    world::{Given, World},
};

/// Runs the demo until a signal, or, with `check`, until the flow has been walked. What is configured holds, save what the
/// demo has itself, which is refused.
///
/// # Errors
/// What went wrong, for a person.
pub async fn demo(check: bool, file: Option<PathBuf>) -> Result<(), String> {
    let shutdown = Shutdown::on_signals().map_err(|error| error.to_string())?;
    let given = Given {
        file,
        variables: std::env::vars_os().collect(),
    };
    let world = World::start(check, &given, shutdown.token()).await?;
    let result = async {
        let catalogue = seed::seed(&world).await?;
        if check {
            check::walk(&world, &catalogue).await
        } else {
            introduce(&world, &catalogue);
            shutdown.begun().await;
            Ok(())
        }
    }
    .await;
    world.stop().await;
    result
}

#[expect(clippy::print_stdout, reason = "the demo speaks to a person")]
fn introduce(world: &World, catalogue: &Catalogue) {
    let portal = world.portal_url();
    println!(
        "
Portico is running. Everything is in a temporary folder and gone when you stop it (Ctrl-C).

  Portal            {portal}
  REST API          {portal}/api/docs
  gRPC              {grpc}   (with reflection)
  Mails             {mail}
  Identity provider {idp}
  Gateway           {gateway}   (a double of the Tyk gateway)

  Admin             {admin} / {admin_password}
  Developer         {developer} / {developer_password}

Try it:
  1. Open {portal} and log in as the developer.
  2. Put \"Payments API\" into the cart, go to checkout, choose the plan \"Free\" and the client
     type \"Backend service\", create an application and submit.
  3. Log in as the admin, open \"Access requests\" and approve.
  4. Back as the developer: open the application. It shows the credentials and two curl commands,
     and the e-mail has arrived.
  5. \"Weather API\" gives an API key instead: it is shown once, on the application's page.

The catalogue has {products} products and {plans} plans. `portico demo --check` walks through all of it.
",
        grpc = world.grpc_address(),
        mail = world.mail_url(),
        idp = world.identity_provider_url(),
        gateway = world.gateway_url(),
        admin = seed::ADMIN_EMAIL,
        admin_password = seed::ADMIN_PASSWORD,
        developer = seed::DEVELOPER_EMAIL,
        developer_password = seed::DEVELOPER_PASSWORD,
        products = catalogue.products,
        plans = catalogue.plans,
    );
}
