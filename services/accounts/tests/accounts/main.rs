//! Accounts over its gRPC router. On SQLite, or, where `PORTICO_TEST_POSTGRES` is the URL of a PostgreSQL
//! server's database, on that: each test then makes a database of its own.

#[cfg(test)]
mod api_tokens;
#[cfg(test)]
mod passing_in;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod sign_up;
#[cfg(test)]
mod support;
#[cfg(test)]
mod users;
