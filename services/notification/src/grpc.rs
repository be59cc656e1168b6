//! The gRPC methods. All of them are for admins.

use portico_eventstore::EventStore;
use portico_proto::{
    Error, Kind,
    notification::v1::{
        self as proto, DeliveryStatus, GetDeliveryRequest, ListDeliveriesRequest,
        ListDeliveriesResponse, ListTemplatesRequest, ListTemplatesResponse, MailTemplate,
        PreviewTemplateRequest, PreviewTemplateResponse, ResendDeliveryRequest,
        SendTestMailRequest, SendTestMailResponse,
        notification_service_server::NotificationService,
    },
    rest::Enumeration as _,
};
use portico_runtime::{Call, Caller, Clock, lists::ListQuery, parse_id, query_error, refuse};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    delivery::{Command, Delivery, Mail},
    smtp::Sender,
    templates::{Template, Templates},
    views,
};

/// In the place of a mail server's words.
const NO_SERVER: &str = "no mail server is configured";

/// The service's methods.
pub struct Grpc {
    pub(crate) store: EventStore,
    pub(crate) templates: Templates,
    pub(crate) sender: Sender,
    pub(crate) clock: Clock,
    /// Whether a mail server is configured.
    pub(crate) sends: bool,
}

impl Grpc {
    async fn delivery(&self, id: Uuid) -> Result<proto::Delivery, Error> {
        views::find(self.store.database(), id, self.sender.host())
            .await
            .map_err(query_error)?
            .map(|delivery| self.shown(delivery))
            .ok_or_else(|| Error::not_found("delivery"))
    }

    fn shown(&self, mut delivery: proto::Delivery) -> proto::Delivery {
        if !self.sends && delivery.status() == DeliveryStatus::Queued {
            delivery.last_error = Some(NO_SERVER.to_owned());
        }
        delivery
    }
}

#[tonic::async_trait]
impl NotificationService for Grpc {
    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        Caller::of(&request).require_admin()?;
        let query = request.into_inner();
        let status = DeliveryStatus::try_from(query.status).map_err(|_| {
            let message = "`status` must be queued, sending, sent or failed.";
            Error::field("status", "status_invalid", message)
        })?;
        let subject_id = match query.subject_id.as_str() {
            "" => String::new(),
            id => parse_id("subject_id", id)?.to_string(),
        };
        let page = ListQuery::parse(&views::SORT, &query)?;
        let (deliveries, next) = views::list(
            self.store.database(),
            &page,
            status.as_word(),
            &subject_id,
            self.sender.host(),
        )
        .await
        .map_err(query_error)?;
        let deliveries = deliveries.into_iter().map(|one| self.shown(one)).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, next }))
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<proto::Delivery>, Status> {
        Caller::of(&request).require_admin()?;
        let id = parse_id("id", &request.get_ref().id)?;
        Ok(Response::new(self.delivery(id).await?))
    }

    async fn resend_delivery(
        &self,
        request: Request<ResendDeliveryRequest>,
    ) -> Result<Response<proto::Delivery>, Status> {
        let call = Call::of(&request, "resend_delivery", &self.clock)?;
        call.caller.require_admin()?;
        let id = parse_id("id", &request.get_ref().id)?;
        // The worker finds what is due in the view, so what was pruned from it is gone.
        self.delivery(id).await?;
        self.store
            .execute::<Delivery>(id, &Command::Resend, &call.context)
            .await
            .map_err(refuse)?;
        Ok(Response::new(self.delivery(id).await?))
    }

    async fn list_templates(
        &self,
        request: Request<ListTemplatesRequest>,
    ) -> Result<Response<ListTemplatesResponse>, Status> {
        Caller::of(&request).require_admin()?;
        let templates = Template::all()
            .map(|template| proto::Template {
                name: views::template(template.as_str()).into(),
                overridden: self.templates.overridden(template),
                description: template.description().to_owned(),
            })
            .collect();
        Ok(Response::new(ListTemplatesResponse { templates }))
    }

    async fn preview_template(
        &self,
        request: Request<PreviewTemplateRequest>,
    ) -> Result<Response<PreviewTemplateResponse>, Status> {
        Caller::of(&request).require_admin()?;
        let template = find_template(request.get_ref().name())?;
        let filled = self.templates.preview(template).map_err(|mistake| {
            Error::new(
                Kind::Conflict,
                "template_broken",
                format!(
                    "{mistake}. Until it is mended, this message is sent from the built-in templates."
                ),
            )
        })?;
        Ok(Response::new(PreviewTemplateResponse {
            subject: filled.subject,
            text: filled.text,
            html: filled.html,
        }))
    }

    async fn send_test_mail(
        &self,
        request: Request<SendTestMailRequest>,
    ) -> Result<Response<SendTestMailResponse>, Status> {
        let call = Call::of(&request, "send_test_mail", &self.clock)?;
        let admin = call.caller.require_admin()?;
        let template = find_template(request.get_ref().name())?;
        let id = call.new_id("delivery", &self.clock);
        let command = Command::Queue(Mail {
            template,
            recipient_id: admin,
            subject_id: None,
            failure: None,
        });
        self.store
            .execute::<Delivery>(id, &command, &call.context)
            .await
            .map_err(refuse)?;
        Ok(Response::new(SendTestMailResponse {
            delivery_id: id.to_string(),
        }))
    }
}

fn find_template(name: MailTemplate) -> Result<Template, Error> {
    Template::find(name.as_word()).ok_or_else(|| Error::not_found("template"))
}
