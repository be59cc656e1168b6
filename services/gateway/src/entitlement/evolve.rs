//! Taking events in.

use super::event::{AccessEvent, Event, MappingEvent, ReportEvent, TryEvent};
use super::state::{Credential, Delay, Entitlement, Mapping, Prospect, Wanted};
use crate::item::Item;

impl Entitlement {
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Access(event) => self.take_access(event),
            Event::Scopes(event) => self.take_scopes(event),
            Event::Mapping(MappingEvent::Mapped { asked, nothing }) => {
                self.mapping.done = *asked;
                self.mapping.nothing = *nothing;
                self.mapping.gateways.clear();
                self.delay = None;
            }
            Event::Key(event) => self.take_key(event),
            Event::Try(TryEvent::Delayed {
                reason,
                next_try_at,
                prospect,
            }) => {
                let attempts = self.tries(*prospect == Prospect::Waits) + 1;
                self.delay = Some(Delay {
                    attempts,
                    next_try_at: *next_try_at,
                    reason: reason.clone(),
                    prospect: *prospect,
                });
            }
            Event::Try(TryEvent::Failed { reason }) => {
                self.delay = None;
                self.failed = Some(reason.clone());
            }
            Event::Report(ReportEvent::Reported(report)) => self.reported = Some(report.clone()),
        }
    }

    fn take_access(&mut self, event: &AccessEvent) {
        self.news += 1;
        match event {
            AccessEvent::Wanted(wanted) => {
                self.try_anew();
                self.asking(|this| this.want(wanted));
            }
            AccessEvent::ApplicationChanged(application) => {
                if application.suspended != self.application.suspended {
                    self.try_anew();
                }
                self.asking(|this| this.application = application.clone());
            }
            AccessEvent::CatalogueChanged(change) => {
                self.try_anew();
                self.asking(|this| {
                    for item in this.wanted.iter_mut().flat_map(|wanted| &mut wanted.items) {
                        if let Some(changed) = change.applied_to(item) {
                            *item = changed;
                        }
                    }
                });
            }
            AccessEvent::Woken => self.delay = None,
            AccessEvent::GatewayFound => {
                self.try_anew();
                if !self.gives_keys() {
                    let gateways = gateways(self.items().iter());
                    self.mapping.ask(gateways);
                }
            }
            AccessEvent::Overtaken(overtaken) => {
                let known = self.wanted.as_ref().map(|known| known.revision);
                self.claim_more(overtaken, known);
            }
        }
    }

    /// What was in the way may not be any more.
    pub(super) fn try_anew(&mut self) {
        self.delay = None;
        self.failed = None;
    }

    fn want(&mut self, event: &Wanted) {
        let mut wanted = event.clone();
        for (item, known) in wanted.items.iter_mut().flat_map(|item| {
            let product = item.product.id.clone();
            self.item(&product).cloned().map(|known| (item, known))
        }) {
            item.keep_newer(&known);
        }
        if self.application.as_of <= event.application.as_of {
            self.application = event.application.clone();
        }
        match wanted.credential {
            Credential::OauthClient { .. } => self.claim(&wanted),
            Credential::ApiKey => {}
        }
        self.wanted = Some(wanted);
    }

    /// A change of which the gateways have to hear, where something is needed there otherwise than before. A revision
    /// that changes nothing is answered without calling anybody.
    fn asking(&mut self, change: impl FnOnce(&mut Self)) {
        let (items, needed) = (self.items().to_vec(), self.is_wanted());
        change(self);
        let same_items = same(&items, self.items());
        if self.gives_keys() {
            self.keys.placed &= same_apis(&items, self.items());
            self.keys.outdated |= !items.is_empty() && !same_items;
            return;
        }
        let before = if needed { &items[..] } else { &[] };
        let after = if self.is_wanted() { self.items() } else { &[] };
        if needed != self.is_wanted() || (needed && !same_items) {
            let gateways = gateways(before.iter().chain(after));
            self.mapping.ask(gateways);
        }
    }
}

impl Mapping {
    fn ask(&mut self, gateways: Vec<Option<String>>) {
        self.asked += 1;
        self.gateways.extend(gateways);
    }
}

fn gateways<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<Option<String>> {
    let apis = items.flat_map(|item| &item.product.apis);
    apis.map(|api| api.gateway_id.clone()).collect()
}

fn same(before: &[Item], after: &[Item]) -> bool {
    let mut pairs = before.iter().zip(after);
    before.len() == after.len() && pairs.all(|(a, b)| a.needs_the_same_as(b))
}

fn same_apis(before: &[Item], after: &[Item]) -> bool {
    let apis = |items: &[Item]| -> Vec<_> {
        let of = |item: &Item| (item.product.id.clone(), item.product.apis.clone());
        items.iter().map(of).collect()
    };
    apis(before) == apis(after)
}
