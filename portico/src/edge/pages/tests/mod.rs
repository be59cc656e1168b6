//! Pages against doubles of the services.
