// One Go application with go-sql-driver: a transaction, a statement that the rule set blocks in the middle, the
// next statement on the same connection. Prints one line of JSON with what the application saw.
// Arguments: protocol (text | prepare), data source name.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/go-sql-driver/mysql"
)

type blocked struct {
	Errno   uint16 `json:"errno"`
	Message string `json:"message"`
	Leaked  bool   `json:"leaked,omitempty"`
}

type seen struct {
	Driver      string   `json:"driver"`
	Protocol    string   `json:"protocol"`
	Blocked     *blocked `json:"blocked"`
	Transaction string   `json:"transaction"`
	Next        string   `json:"next"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func attack(ctx context.Context, tx *sql.Tx, protocol string) error {
	var rows *sql.Rows
	var err error
	if protocol == "prepare" {
		rows, err = tx.QueryContext(ctx, "SELECT id, name FROM picket_users WHERE id = ? UNION SELECT id, secret FROM picket_secrets", 1)
	} else {
		rows, err = tx.QueryContext(ctx, "SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT id, secret FROM picket_secrets")
	}
	if err != nil {
		return err
	}
	return rows.Close()
}

func main() {
	out := seen{Driver: "go-sql-driver", Protocol: os.Args[1]}
	db, err := sql.Open("mysql", os.Args[2])
	must(err)
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	must(err)
	tx, err := conn.BeginTx(ctx, nil)
	must(err)
	_, err = tx.ExecContext(ctx, "INSERT INTO picket_journal (note) VALUES ('go')")
	must(err)
	err = attack(ctx, tx, out.Protocol)
	var refused *mysql.MySQLError
	switch {
	case err == nil:
		out.Blocked = &blocked{Leaked: true}
	case errors.As(err, &refused):
		out.Blocked = &blocked{Errno: refused.Number, Message: refused.Message}
	default:
		out.Blocked = &blocked{Message: err.Error()}
	}
	var count int
	must(tx.QueryRowContext(ctx, "SELECT count(*) FROM picket_journal").Scan(&count))
	out.Transaction = "lost"
	if count > 0 {
		out.Transaction = "open"
	}
	must(tx.Rollback())
	var answer int
	must(conn.QueryRowContext(ctx, "SELECT 41 + 1").Scan(&answer))
	out.Next = "wrong"
	if answer == 42 {
		out.Next = "ok"
	}
	must(json.NewEncoder(os.Stdout).Encode(out))
}
