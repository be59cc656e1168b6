"""The main flow with the client that openapi-python-client makes of the served document."""

import json
import os
import time
from uuid import UUID

from portico_client import AuthenticatedClient, Client
from portico_client.api.access_requests import (
    approve_access_request,
    get_access_request,
    revoke_access_request,
    submit_access_request,
)
from portico_client.api.accounts import sign_in
from portico_client.api.credentials import get_credentials
from portico_client.api.plans import create_plan, delete_plan, update_plan
from portico_client.api.products import list_products
from portico_client.models import (
    AccessRequest,
    AccessRequestStatus,
    ApproveAccessRequestRequest,
    CreateSessionRequest,
    NewApplication,
    NewCartItem,
    NewPlan,
    PlanChange,
    Problem,
    Rate,
    SubmitAccessRequestRequest,
)

given = json.loads(os.environ["PORTICO_CONTRACT"])


def signed_in(who):
    body = CreateSessionRequest(email=who["email"], password=who["password"])
    session = sign_in.sync(client=Client(base_url=given["url"]), body=body)
    return AuthenticatedClient(base_url=given["url"], token=session.token)


def until(request_id, status):
    for _ in range(600):
        now = get_access_request.sync(request_id, client=admin)
        assert isinstance(now, AccessRequest), now
        if now.status == status:
            return now
        time.sleep(0.1)
    raise AssertionError(f"{now.status}, not {status}")


admin, developer = signed_in(given["admin"]), signed_in(given["developer"])

plan = create_plan.sync(
    client=admin,
    body=NewPlan(name="Python", scopes=["contract_python"], rate=Rate(requests=5, per_seconds=1)),
)
assert plan.scopes == "contract_python" and plan.rate.requests == 5, plan
changed = update_plan.sync(plan.id, client=admin, body=PlanChange(name="Python 2", rate=None))
assert changed.name == "Python 2" and changed.rate is None, changed
assert delete_plan.sync_detailed(plan.id, client=admin).status_code == 204

refused = create_plan.sync(client=admin, body=NewPlan(name="", scopes="contract_python"))
assert isinstance(refused, Problem) and refused.code == "name_missing", refused
assert [error.field for error in refused.errors] == ["name"], refused

product, plan = UUID(given["product_id"]), UUID(given["plan_id"])
assert product in [one.id for one in list_products.sync(client=developer, limit=100).items]
request = submit_access_request.sync(
    client=developer,
    body=SubmitAccessRequestRequest(
        items=[NewCartItem(product_id=product, plan_id=plan)],
        application=NewApplication(name="Python shop", redirect_urls=[]),
        client_type_id=UUID(given["client_type_id"]),
    ),
)
assert isinstance(request, AccessRequest) and request.status == AccessRequestStatus.PENDING, request
approved = approve_access_request.sync(
    request.id, client=admin, body=ApproveAccessRequestRequest(reason="Welcome.")
)
assert isinstance(approved, AccessRequest), approved
active = until(request.id, AccessRequestStatus.ACTIVE)
assert active.items[0].product_id == product and len(active.timeline) > 2, active
credentials = get_credentials.sync(request.application_id, client=developer)
assert credentials.client_id and credentials.client_secret, "no credentials"
assert revoke_access_request.sync_detailed(request.id, client=admin, body=None).status_code == 202
until(request.id, AccessRequestStatus.REVOKED)
