// Runs an application's honest statements through go-sql-driver and prints what the application got, a JSON array:
// for each step its rows, or the error's number. Arguments: data source name (with interpolateParams=true the
// driver writes the values into the text, else it prepares); standard input: the steps.
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

type step struct {
	Sql      string `json:"sql"`
	Values   []any  `json:"values"`
	Together []step `json:"together"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func attempt(conn *sql.Conn, s step) any {
	rows, err := conn.QueryContext(context.Background(), s.Sql, s.Values...)
	if err == nil {
		defer rows.Close()
		got := [][]*string{}
		columns, _ := rows.Columns()
		for rows.Next() {
			row := make([]*string, len(columns))
			into := make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			must(rows.Scan(into...))
			got = append(got, row)
		}
		if err = rows.Err(); err == nil {
			return got
		}
	}
	var refused *mysql.MySQLError
	if errors.As(err, &refused) {
		return map[string]any{"error": refused.Number}
	}
	return map[string]any{"error": err.Error()}
}

func main() {
	var steps []step
	must(json.NewDecoder(os.Stdin).Decode(&steps))
	db, err := sql.Open("mysql", os.Args[1])
	must(err)
	conn, err := db.Conn(context.Background())
	must(err)
	out := []any{}
	for _, s := range steps {
		if s.Together == nil {
			out = append(out, attempt(conn, s))
			continue
		}
		each := []any{}
		for _, one := range s.Together {
			each = append(each, attempt(conn, one))
		}
		out = append(out, each)
	}
	must(json.NewEncoder(os.Stdout).Encode(out))
	must(db.Close())
}
