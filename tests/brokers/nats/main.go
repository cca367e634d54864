// main.go - a NATS server with cashew's tokens and users kept apart: nats CONFIGURATION, with JWT_SECRET in the environment.
//
// A user's permissions are those of the subjects that NATS makes of its topics: "/" becomes ".", and "." becomes "//". Failure: a message and
// exit code 1.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

type claims struct {
	User    string `json:"user_id"`
	Expires int64  `json:"exp"`
	Handler *struct {
		Name string `json:"name"`
	} `json:"handler"`
}

type tokens struct{ secret []byte }

// Check lets a client in whose password is a good token. The client id of MQTT cannot be seen here: an auth callout is told it.
func (t tokens) Check(client server.ClientAuthentication) bool {
	parts := strings.Split(client.GetOpts().Password, ".")
	if len(parts) != 3 {
		return false
	}
	mac := hmac.New(sha256.New, t.secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return false
	}
	var found claims
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &found) != nil || found.Expires < time.Now().Unix() {
		return false
	}
	user := &server.User{Username: "handler"}
	if found.Handler == nil {
		if found.User == "" {
			return false
		}
		user.Username = found.User
		user.Permissions = permissions(found.User)
	}
	client.RegisterUser(user)
	return true
}

func permissions(user string) *server.Permissions {
	subject := strings.ReplaceAll(user, ".", "//")
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{subject + ".>"}},
		// "a/#" is "a" and "a.>"; the server's own deliveries to a session come by $MQTT.sub.
		Subscribe: &server.SubjectPermission{Allow: []string{subject, subject + ".>", "$MQTT.sub.>"}},
	}
}

func run() error {
	options, err := server.ProcessConfigFile(os.Args[1])
	if err != nil {
		return err
	}
	options.CustomClientAuthentication = tokens{[]byte(os.Getenv("JWT_SECRET"))}
	running, err := server.NewServer(options)
	if err != nil {
		return err
	}
	running.ConfigureLogger()
	running.Start()
	running.WaitForShutdown()
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}
