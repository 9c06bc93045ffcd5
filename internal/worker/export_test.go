package worker

import "time"

// BePatient has no build leave because it is slow.
func (w *Worker) BePatient() { w.tolerance = tolerance{tables: forOne, slow: time.Hour} }
