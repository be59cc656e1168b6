// Command oapi walks through the main flow with the client that oapi-codegen makes of the served document.
package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/oapi-codegen/runtime/types"

	"portico.example/contract/given"
	"portico.example/contract/oapi"
)

var (
	ctx  = context.Background()
	with = given.Read()
)

func signedIn(who given.Account) *oapi.ClientWithResponses {
	anonymous, err := oapi.NewClientWithResponses(with.URL)
	given.NoError(err)
	body := oapi.CreateSessionRequest{Email: types.Email(who.Email), Password: who.Password}
	session, err := anonymous.SignInWithResponse(ctx, nil, body)
	given.NoError(err)
	token := there(session.JSON200, session.Body).Token
	bearer := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	client, err := oapi.NewClientWithResponses(with.URL, oapi.WithRequestEditorFn(bearer))
	given.NoError(err)
	return client
}

func there[T any](answer *T, body []byte) *T {
	if answer == nil {
		panic(string(body))
	}
	return answer
}

func main() {
	admin, developer := signedIn(with.Admin), signedIn(with.Developer)

	var scopes oapi.NewPlan_Scopes
	given.NoError(scopes.FromNewPlanScopes1([]string{"contract_oapi"}))
	wanted := oapi.NewPlan{Name: "Oapi", Scopes: scopes, Rate: &oapi.Rate{Requests: 5, PerSeconds: 1}}
	made, err := admin.CreatePlanWithResponse(ctx, nil, wanted)
	given.NoError(err)
	plan := there(made.JSON201, made.Body)
	given.Equal("scopes", plan.Scopes, "contract_oapi")
	renamed := "Oapi 2"
	changed, err := admin.UpdatePlanWithResponse(ctx, plan.Id.String(), nil, oapi.PlanChange{Name: &renamed})
	given.NoError(err)
	given.Equal("name", there(changed.JSON200, changed.Body).Name, renamed)
	deleted, err := admin.DeletePlanWithResponse(ctx, plan.Id.String(), nil)
	given.NoError(err)
	given.Equal("deletion", deleted.StatusCode(), http.StatusNoContent)

	wanted.Name = ""
	refused, err := admin.CreatePlanWithResponse(ctx, nil, wanted)
	given.NoError(err)
	problem := there(refused.ApplicationproblemJSON4XX, refused.Body)
	given.Equal("code", problem.Code, "name_missing")
	given.Equal("field", problem.Errors[0].Field, "name")

	catalogue, err := developer.ListProductsWithResponse(ctx, &oapi.ListProductsParams{})
	given.NoError(err)
	if len(there(catalogue.JSON200, catalogue.Body).Items) == 0 {
		panic("an empty catalogue")
	}
	submitted, err := developer.SubmitAccessRequestWithResponse(ctx, nil, oapi.SubmitAccessRequestRequest{
		Items:        []oapi.NewCartItem{{ProductId: with.ProductID, PlanId: &with.PlanID}},
		Application:  &oapi.NewApplication{Name: "Oapi shop"},
		ClientTypeId: &with.ClientTypeID,
	})
	given.NoError(err)
	request := there(submitted.JSON201, submitted.Body)
	given.Equal("status", fmt.Sprint(request.Status), "pending")
	given.Equal("product", request.Items[0].ProductId, with.ProductID)
	id := request.Id.String()
	status := func() string {
		now, err := admin.GetAccessRequestWithResponse(ctx, id, nil)
		given.NoError(err)
		return fmt.Sprint(there(now.JSON200, now.Body).Status)
	}
	reason := "Welcome."
	approved, err := admin.ApproveAccessRequestWithResponse(ctx, id, nil,
		oapi.ApproveAccessRequestJSONRequestBody{Reason: &reason})
	given.NoError(err)
	given.Equal("approval", approved.StatusCode(), http.StatusAccepted)
	given.Until("active", status)
	read, err := developer.GetCredentialsWithResponse(ctx, request.ApplicationId.String(), nil)
	given.NoError(err)
	if credentials := there(read.JSON200, read.Body); credentials.ClientId == nil || credentials.ClientSecret == nil {
		panic("no credentials")
	}
	revoked, err := admin.RevokeAccessRequestWithResponse(ctx, id, nil,
		oapi.RevokeAccessRequestJSONRequestBody{Reason: &reason})
	given.NoError(err)
	given.Equal("revocation", revoked.StatusCode(), http.StatusAccepted)
	given.Until("revoked", status)
}
