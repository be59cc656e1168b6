//! given / when / then: does it, refuses it, stays quiet.

use portico_eventstore::testing::given;

use super::*;

fn item(product: u128) -> CartItem {
    CartItem {
        product_id: Uuid::from_u128(product),
        plan_id: None,
    }
}

fn replaced(products: &[u128]) -> Event {
    Event::Replaced {
        items: products.iter().map(|p| item(*p)).collect(),
    }
}

#[test]
fn items_are_replaced_and_the_same_ones_are_no_change() {
    let command = Command::Replace(vec![item(1), item(2)]);
    given::<Cart>([]).when(&command).then([replaced(&[1, 2])]);
    given::<Cart>([replaced(&[1, 2])])
        .when(&command)
        .then_nothing();
    given::<Cart>([])
        .when(&Command::Replace(Vec::new()))
        .then_nothing();
}

#[test]
fn repeated_and_too_many_products_are_refused() {
    let refused = given::<Cart>([])
        .when(&Command::Replace(vec![item(1), item(2), item(1)]))
        .then_refused();
    assert_eq!(refused, Rejection::Repeated(2));
    let many = (0..51).map(item).collect();
    let refused = given::<Cart>([])
        .when(&Command::Replace(many))
        .then_refused();
    assert_eq!(refused, Rejection::TooMany);
}

#[test]
fn requested_products_leave_the_cart() {
    let ids = |products: &[u128]| products.iter().map(|p| Uuid::from_u128(*p)).collect();
    let checked_out = Event::CheckedOut {
        product_ids: ids(&[1]),
    };
    given::<Cart>([replaced(&[1, 2])])
        .when(&Command::CheckOut {
            product_ids: ids(&[1, 9]),
        })
        .then([checked_out.clone()]);
    let cart = given::<Cart>([replaced(&[1, 2]), checked_out]).state();
    assert_eq!(cart.items, [item(2)]);
    given::<Cart>([])
        .when(&Command::CheckOut {
            product_ids: ids(&[1]),
        })
        .then_nothing();
}
