//! The pages of a whole Portico with example data, used as a browser without JavaScript uses them.

use tokio_util::sync::CancellationToken;

use crate::demo::{
    seed::{self, Catalogue},
    world::{Given, World},
};

mod admin;
mod browser;
mod developer;
mod doors;
mod html;
mod keys;
mod lists;
mod operations;
mod refusals;
mod render;

use browser::Browser;

/// A portal with the example catalogue; everything is on 127.0.0.1 and free ports.
struct Portal {
    world: World,
    catalogue: Catalogue,
}

impl Portal {
    async fn start() -> Self {
        let world = World::start(true, &Given::default(), CancellationToken::new())
            .await
            .unwrap();
        let catalogue = seed::seed(&world).await.unwrap();
        Self { world, catalogue }
    }

    fn visitor(&self) -> Browser {
        Browser::new(self.world.portal_url())
    }

    async fn developer(&self) -> Browser {
        self.logged_in(seed::DEVELOPER_EMAIL, seed::DEVELOPER_PASSWORD)
            .await
    }

    async fn admin(&self) -> Browser {
        self.logged_in(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD)
            .await
    }

    async fn logged_in(&self, email: &str, password: &str) -> Browser {
        let mut browser = self.visitor();
        browser.get("/login").await.is(200);
        let fields = [("email", email), ("password", password)];
        browser.submit("/login", &fields).await.is(200);
        browser
    }
}
