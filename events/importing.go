package events

// ImportBegan says that the history of another system is being taken over. Until ImportEnded follows, up to Window of its orders may
// lack some of their stock and money. An import that ended without some of its orders or returns begins again when it is run again.
type ImportBegan struct {
	ImportID string `json:"import_id"` // of its content: the same file is the same import
	Source   string `json:"source"`    // online-retail
	Digest   string `json:"digest"`    // sha256 of the file, hex
	Orders   int    `json:"orders"`
	Returns  int    `json:"returns,omitempty"`
	Window   int    `json:"window"`
}

// ImportEnded says that all orders of an import are complete.
type ImportEnded struct {
	ImportID string `json:"import_id"`
	Orders   int    `json:"orders"`            // that are recorded
	Returns  int    `json:"returns,omitempty"` // likewise
	Rejected int    `json:"rejected"`          // lines left out
}

func (ImportBegan) EventType() string { return "import.began" }
func (ImportEnded) EventType() string { return "import.ended" }
