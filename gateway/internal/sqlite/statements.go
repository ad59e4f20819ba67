package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// statements are those that were prepared, by their text: to read one's text takes longer than to run most of them.
// Only a text that is written in this package is kept, so there are not many.
type statements struct {
	of   *sql.DB
	kept sync.Map // of string to *sql.Stmt
}

func (s *statements) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if kept, ok := s.kept.Load(text); ok {
		return kept.(*sql.Stmt), nil
	}
	fresh, err := s.of.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if kept, loaded := s.kept.LoadOrStore(text, fresh); loaded {
		return kept.(*sql.Stmt), fresh.Close()
	}
	return fresh, nil
}

func (s *statements) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// row is the first row of a query, whose Scan gives its error.
func (s *statements) row(ctx context.Context, text string, args ...any) scanner {
	stmt, err := s.prepared(ctx, text)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRowContext(ctx, args...)
}

// failed is a row that there is not.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }
