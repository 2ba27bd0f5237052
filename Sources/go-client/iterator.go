package ledger

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Iterator iterates over a list of the ledger, page by page, or over snapshots.
//
//	tasks := job.Tasks(ctx, ledger.TaskFilter{State: ledger.TaskFailed})
//	for tasks.Next() {
//		fmt.Println(tasks.Value().Task)
//	}
//	if err := tasks.Err(); err != nil {
//		return err
//	}
//
// It must be used by one goroutine. Only the iterator of Watch holds resources: to stop it before its end, cancel its
// context or call Close.
type Iterator[T any] struct {
	// advance returns the next value, or false at the end.
	advance func() (value T, isThere bool, err error)
	release func()
	value   T
	err     error
	isOver  bool
}

// Next advances to the next value, and may wait for the ledger.
//
// It returns false at the end and after an error.
func (i *Iterator[T]) Next() bool {
	if i == nil || i.isOver || i.advance == nil {
		return false
	}
	value, isThere, err := i.advance()
	if err != nil || !isThere {
		i.err = err
		i.Close()
		return false
	}
	i.value = value
	return true
}

// Value returns the current value.
func (i *Iterator[T]) Value() (value T) {
	if i == nil {
		return value
	}
	return i.value
}

// Err returns the error that ended the iteration; nil at its regular end.
func (i *Iterator[T]) Err() error {
	if i == nil {
		return nil
	}
	return i.err
}

// Close ends the iteration.
func (i *Iterator[T]) Close() {
	if i == nil || i.isOver {
		return
	}
	i.isOver = true
	if i.release != nil {
		i.release()
	}
}

// failedIterator returns an iterator with an error and no values.
func failedIterator[T any](err error) *Iterator[T] {
	return &Iterator[T]{err: err, isOver: true}
}

// pages iterates over the items of a paged route.
//
// It calls prepare before the first request. Read returns the items of a page and the cursor of the next one; empty at
// the end.
func pages[T any](
	ctx context.Context, c *Client, path string, query url.Values, cursorName string, prepare func(context.Context),
	read func(body rawResponse) (items []T, next string, err error),
) *Iterator[T] {
	if c.IsSilent() {
		return failedIterator[T](ErrNotConfigured)
	}
	query.Set("limit", strconv.Itoa(pageSize))
	var items []T
	isLast, isPrepared := false, false
	return &Iterator[T]{advance: func() (item T, isThere bool, err error) {
		if !isPrepared {
			isPrepared = true
			prepare(ctx)
		}
		for len(items) == 0 {
			if isLast {
				return item, false, nil
			}
			var body rawResponse
			r := request{method: http.MethodGet, path: path + "?" + query.Encode(), wait: requestWait}
			if err := c.call(ctx, r, &body); err != nil {
				return item, false, err
			}
			var next string
			if items, next, err = read(body); err != nil {
				err = fmt.Errorf("cannot read a page of %s: %w", path, err)
				return item, false, &unavailableError{address: c.address, cause: err}
			}
			isLast = next == "" || next == query.Get(cursorName)
			query.Set(cursorName, next)
		}
		item, items = items[0], items[1:]
		return item, true, nil
	}}
}

// rawResponse is an undecoded response.
type rawResponse struct {
	text       []byte
	clock      serverClock
	receivedAt time.Time
}

func (r *rawResponse) UnmarshalJSON(text []byte) error {
	r.text = append(r.text[:0], text...)
	return nil
}

func (r *rawResponse) receive(clock serverClock, at time.Time) { r.clock, r.receivedAt = clock, at }
