package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxBody bounds the bodies that have no setting of their own, in bytes.
const maxBody = 4 << 20

// decode reads a JSON body of at most maxBody bytes, whose keys are read without regard to case and must be known.
// Names translates the names of our types to those that Consul's messages use.
func decode(r *http.Request, into any, names map[string]string) error {
	if r.ContentLength > maxBody {
		return bodyTooLarge()
	}
	limited := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if limited.N <= 0 {
		return bodyTooLarge()
	}
	return badRequest("Request decode failed: " + wordDecodeError(err, names))
}

func bodyTooLarge() error {
	return &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body too large, max size: %d bytes", maxBody)}
}

// wordDecodeError gives the text of a decoder's error with Consul's names for types.
func wordDecodeError(err error, names map[string]string) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	typ := wrong.Type.String()
	if i := strings.LastIndexByte(typ, '.'); i >= 0 {
		if name, ok := names[typ[i+1:]]; ok {
			typ = typ[:strings.LastIndexAny(typ[:i], "*[]")+1] + "structs." + name
		}
	}
	if wrong.Struct == "" && wrong.Field == "" {
		return "json: cannot unmarshal " + wrong.Value + " into Go value of type " + typ
	}
	structName := wrong.Struct
	if name, ok := names[structName]; ok {
		structName = name
	}
	return "json: cannot unmarshal " + wrong.Value + " into Go struct field " + structName + "." + wrong.Field + " of type " + typ
}
