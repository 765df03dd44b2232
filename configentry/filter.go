package configentry

import "encoding/json"

//msgp:ignore filtered

// filtered is what a filter may speak of.
type filtered struct {
	Kind, Name string
	Meta       map[string]string
}

func (e *Entry) filtered() (*filtered, error) {
	f := &filtered{}
	if err := json.Unmarshal([]byte(e.Text), f); err != nil {
		return nil, err
	}
	f.Kind, f.Name = e.Kind, e.Name
	return f, nil
}
