package access

import "testing"

// FuzzMetadata: a stream's metadata and the settings are whatever a client wrote. What is understood is bounded.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"$acl":{"$r":"ann","$w":["$admins","bob"],"$d":null}}`, `{"$acl":[]}`, `{"$acl":{"$r":[1]}}`,
		`{"$userStreamAcl":{"$r":"$all"},"$systemStreamAcl":{"$r":"$admins"}}`, `{"$ACL":{}}`, `{"$acl":{"$mr":[]}}`,
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, isJSON bool) {
		if a, err := metadataACL(isJSON, b); err == nil && a != nil {
			total := 0
			for _, roles := range a {
				total += len(roles)
			}
			if total > maxRoles {
				t.Errorf("%d names", total)
			}
		}
		_, _ = parseSettings(isJSON, b)
		_ = CheckMetadata("$$s", isJSON, b)
	})
}
