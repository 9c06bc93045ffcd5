package health

// Partial is a failure of a part that leaves its reporter ready.
type Partial struct{ Err error }

// Partly makes an error one that leaves its reporter ready; nil stays nil.
func Partly(err error) error {
	if err == nil {
		return nil
	}
	return &Partial{err}
}

func (p *Partial) Error() string { return p.Err.Error() }
func (p *Partial) Unwrap() error { return p.Err }
