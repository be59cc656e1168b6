//! Outgoing calls against servers on this machine.

#[cfg(test)]
mod server;

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod trust;
