// Package given holds what the test gives its programs in the environment.
package given

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
)

// Account is somebody who may sign in.
type Account struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// Contract says where the portal is, and what has been configured there.
type Contract struct {
	URL          string    `json:"url"`
	GRPC         string    `json:"grpc"`
	Admin        Account   `json:"admin"`
	Developer    Account   `json:"developer"`
	ProductID    uuid.UUID `json:"product_id"`
	PlanID       uuid.UUID `json:"plan_id"`
	ClientTypeID uuid.UUID `json:"client_type_id"`
	// Token is a developer's.
	Token string `json:"token"`
}

// Read reads the environment.
func Read() (given Contract) {
	NoError(json.Unmarshal([]byte(os.Getenv("PORTICO_CONTRACT")), &given))
	return given
}

// NoError ends the program.
func NoError(err error) {
	if err != nil {
		panic(err)
	}
}

// Equal ends the program where the values differ.
func Equal[T comparable](what string, found, wanted T) {
	if found != wanted {
		panic(fmt.Sprintf("%s: %v, not %v", what, found, wanted))
	}
}

// Until asks again until the status is the wanted one.
func Until[T comparable](wanted T, ask func() T) {
	var now T
	for range 600 {
		if now = ask(); now == wanted {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	Equal("status", now, wanted)
}
