//! Every page fits a desk and a phone; how it looks is in `target/screenshots`, a picture for each page and width.

use std::{fs, path::Path};

use portico_trials::{CHROMIUM, Trial, trials};

use crate::support::{
    actions::{DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    browser::Browser,
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, [CHROMIUM]; every_page_at_two_widths)
}

async fn every_page_at_two_widths() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
    fs::create_dir_all(&folder).unwrap();
    let visitor = ["/catalogue", "/login", "/signup"].map(str::to_owned);
    let developer = [
        format!("/catalogue/{}", portal.payments),
        "/cart".to_owned(),
        "/dashboard".to_owned(),
        "/dashboard/api-tokens".to_owned(),
        "/dashboard/applications/new".to_owned(),
        format!("/dashboard/applications/{application}"),
        format!("/dashboard/access-requests/{request}"),
    ];
    let admin = [
        format!("/admin/access-requests/{request}"),
        format!("/admin/identity-providers/{}", portal.provider_id),
        format!("/admin/products/{}/edit", portal.payments),
        format!("/admin/plans/{}/edit", portal.free),
    ];
    for width in [1280, 390] {
        let browser = Browser::open(&world.portico.url(), width, 900).await;
        let picture = async |path: &str| {
            browser.go(path).await;
            // Ids are others each time.
            let words = path
                .split('/')
                .map(|word| if word.len() < 36 { word } else { "one" });
            let name = words.collect::<Vec<_>>().join("-");
            let file = folder.join(format!("{width}{name}.png"));
            fs::write(file, browser.picture(width).await).unwrap();
        };
        for path in &visitor {
            picture(path).await;
        }
        browser.log_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD).await;
        for path in &developer {
            picture(path).await;
        }
        browser.press("Log out").await;
        browser.log_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
        for path in &admin {
            picture(path).await;
        }
        for path in browser.links("nav a[href^='/admin']").await {
            picture(&path).await;
        }
        browser.quit().await;
    }
}
