// Command ogen walks through the main flow with the client that ogen makes of the served document.
package main

import (
	"context"
	"fmt"

	"github.com/ogen-go/ogen/ogenerrors"

	"portico.example/contract/given"
	"portico.example/contract/ogenapi"
)

var (
	ctx  = context.Background()
	with = given.Read()
)

type bearer string

func (token bearer) Bearer(context.Context, ogenapi.OperationName) (ogenapi.Bearer, error) {
	if token == "" {
		return ogenapi.Bearer{}, ogenerrors.ErrSkipClientSecurity
	}
	return ogenapi.Bearer{Token: string(token)}, nil
}

func (bearer) Cookie(context.Context, ogenapi.OperationName) (ogenapi.Cookie, error) {
	return ogenapi.Cookie{}, ogenerrors.ErrSkipClientSecurity
}

func client(token bearer) *ogenapi.Client {
	client, err := ogenapi.NewClient(with.URL, token)
	given.NoError(err)
	return client
}

func signedIn(who given.Account) *ogenapi.Client {
	body := &ogenapi.CreateSessionRequest{Email: who.Email, Password: who.Password}
	session := as[*ogenapi.CreateSessionResult](client("").SignIn(ctx, body, ogenapi.SignInParams{}))
	return client(bearer(session.Token))
}

func as[T any](answer any, err error) T {
	given.NoError(err)
	wanted, right := answer.(T)
	if !right {
		panic(fmt.Sprintf("%+v", answer))
	}
	return wanted
}

func main() {
	admin, developer := signedIn(with.Admin), signedIn(with.Developer)

	wanted := &ogenapi.NewPlan{
		Name:   "Ogen",
		Scopes: ogenapi.NewStringArrayNewPlanScopes([]string{"contract_ogen"}),
		Rate:   ogenapi.NewOptNilRate(ogenapi.Rate{Requests: 5, PerSeconds: 1}),
	}
	plan := as[*ogenapi.Plan](admin.CreatePlan(ctx, wanted, ogenapi.CreatePlanParams{}))
	given.Equal("scopes", plan.Scopes, "contract_ogen")
	change := &ogenapi.PlanChange{Name: ogenapi.NewOptString("Ogen 2")}
	change.Rate.SetToNull()
	id := plan.ID.String()
	changed := as[*ogenapi.Plan](admin.UpdatePlan(ctx, change, ogenapi.UpdatePlanParams{ID: id}))
	given.Equal("name", changed.Name, "Ogen 2")
	given.Equal("rate is null", changed.Rate.IsNull(), true)
	as[*ogenapi.DeletePlanNoContent](admin.DeletePlan(ctx, ogenapi.DeletePlanParams{ID: id}))

	wanted.Name = ""
	refused := as[*ogenapi.RefusedStatusCode](admin.CreatePlan(ctx, wanted, ogenapi.CreatePlanParams{}))
	given.Equal("code", refused.Response.Code, "name_missing")
	given.Equal("field", refused.Response.Errors[0].Field, "name")

	catalogue := as[*ogenapi.ListProduct](developer.ListProducts(ctx, ogenapi.ListProductsParams{}))
	if len(catalogue.Items) == 0 {
		panic("an empty catalogue")
	}
	request := as[*ogenapi.AccessRequest](developer.SubmitAccessRequest(ctx, &ogenapi.SubmitAccessRequestRequest{
		Items:        []ogenapi.NewCartItem{{ProductID: with.ProductID, PlanID: ogenapi.NewOptNilUUID(with.PlanID)}},
		Application:  ogenapi.NewOptNilNewApplication(ogenapi.NewApplication{Name: "Ogen shop"}),
		ClientTypeID: ogenapi.NewOptNilUUID(with.ClientTypeID),
	}, ogenapi.SubmitAccessRequestParams{}))
	given.Equal("status", request.Status, ogenapi.AccessRequestStatusPending)
	given.Equal("product", request.Items[0].ProductID, with.ProductID)
	id = request.ID.String()
	status := func() ogenapi.AccessRequestStatus {
		params := ogenapi.GetAccessRequestParams{ID: id}
		return as[*ogenapi.AccessRequest](admin.GetAccessRequest(ctx, params)).Status
	}
	as[*ogenapi.AccessRequest](admin.ApproveAccessRequest(ctx,
		ogenapi.NewOptNilApproveAccessRequestRequest(ogenapi.ApproveAccessRequestRequest{
			Reason: ogenapi.NewOptString("Welcome."),
		}),
		ogenapi.ApproveAccessRequestParams{ID: id}))
	given.Until(ogenapi.AccessRequestStatusActive, status)
	params := ogenapi.GetCredentialsParams{ID: request.ApplicationID.String()}
	credentials := as[*ogenapi.AllCredentials](developer.GetCredentials(ctx, params))
	if credentials.ClientID.Value == "" || credentials.ClientSecret.Value == "" {
		panic("no credentials")
	}
	as[*ogenapi.AccessRequest](admin.RevokeAccessRequest(ctx,
		ogenapi.OptNilRevokeAccessRequestRequest{}, ogenapi.RevokeAccessRequestParams{ID: id}))
	given.Until(ogenapi.AccessRequestStatusRevoked, status)
}
