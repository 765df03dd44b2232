package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"lictor/state"
	"lictor/txn"
)

// txnNames are Consul's names for the types of package txn, for messages.
var txnNames = map[string]string{
	"Ops":         "TxnOps",
	"Op":          "TxnOp",
	"KVOp":        "KVTxnOp",
	"NodeOp":      "NodeTxnOp",
	"ServiceOp":   "ServiceTxnOp",
	"CheckOp":     "CheckTxnOp",
	"SessionOp":   "SessionTxnOp",
	"Instance":    "AgentService",
	"Check":       "HealthCheck",
	"CheckTarget": "HealthCheckDefinition",
}

// transaction answers PUT /v1/txn: 409 if an operation cannot be carried out.
func (s *Server) transaction(w http.ResponseWriter, r *http.Request) (any, error) {
	ops, err := s.txnOps(r)
	if err != nil {
		return nil, err
	}
	if ops.ReadOnly() {
		return s.txnRead(w, r, ops)
	}
	answer, err := call(s, r, txn.WriteMethod, &ops)
	if err != nil {
		return nil, err
	}
	return s.txnAnswer(w, r, answer, answer.Errors)
}

// txnRead answers a transaction that only reads: how fresh it is depends on ?stale and ?consistent.
func (s *Server) txnRead(w http.ResponseWriter, r *http.Request, ops txn.Ops) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	answer, err := call(s, r, txn.ReadMethod, &txn.Read{Ops: ops, ReadOptions: opts.ReadOptions})
	if err != nil {
		return nil, err
	}
	h := w.Header()
	writeMeta(h, answer.Index, state.ReadMeta{KnownLeader: answer.KnownLeader, LastContact: answer.LastContact})
	delete(h, "X-Consul-Index")
	delete(h, "X-Consul-Query-Backend")
	return s.txnAnswer(w, r, answer, answer.Errors)
}

func (s *Server) txnAnswer(w http.ResponseWriter, r *http.Request, answer any, errors []txn.OpError) (any, error) {
	if len(errors) == 0 {
		return answer, nil
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	s.writeBody(&statusWriter{ResponseWriter: w, status: http.StatusConflict}, r, body)
	return written, nil
}

// txnOps reads the operations of a transaction within its limits.
func (s *Server) txnOps(r *http.Request) (txn.Ops, error) {
	b, err := body(r, s.MaxTxnSize, "txn_max_req_len")
	if err != nil {
		return nil, err
	}
	var ops txn.Ops
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&ops); err != nil {
		text := strings.Replace(wordDecodeError(err, txnNames), "of type structs.", "of type api.", 1)
		return nil, badRequest("Failed to parse body: " + text)
	}
	if len(ops) > txn.MaxOps {
		return nil, &statusError{http.StatusRequestEntityTooLarge,
			fmt.Sprintf("Transaction contains too many operations (%d > %d)", len(ops), txn.MaxOps)}
	}
	for i := range ops {
		if op := ops[i].KV; op != nil && int64(len(op.Value)) > s.MaxValueSize {
			return nil, &statusError{http.StatusRequestEntityTooLarge,
				fmt.Sprintf("Value for key %q is too large (%d > %d bytes)", op.Key, len(op.Value), s.MaxValueSize)}
		}
	}
	return ops, nil
}
