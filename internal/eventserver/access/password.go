package access

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the hash that EventStoreDB stores: PBKDF2 does not suffer from its collisions
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// Hashes are those of EventStoreDB, so that users may be taken from one to the other.
const (
	hashBytes  = 20
	saltBytes  = 16
	iterations = 1000
)

// setPassword gives the user a password with a salt of its own.
func (u *User) setPassword(password string) error {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	hash, err := derive(password, salt)
	if err != nil {
		return err
	}
	u.Salt, u.Hash = base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(hash)
	return nil
}

func derive(password string, salt []byte) ([]byte, error) {
	hash, err := pbkdf2.Key(sha1.New, password, salt, iterations, hashBytes)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// fits tells whether the password is the user's. A user who is stored damaged has no password that fits.
func (u *User) fits(password string) bool {
	salt, err := base64.StdEncoding.DecodeString(u.Salt)
	if err != nil {
		return false
	}
	want, err := base64.StdEncoding.DecodeString(u.Hash)
	if err != nil || len(want) != hashBytes {
		return false
	}
	got, err := derive(password, salt)
	return err == nil && subtle.ConstantTimeCompare(want, got) == 1
}

// verifier compares passwords and remembers the outcome, so that not every call costs a hash; the cores it may keep busy are
// few, so that passwords can be tried slowly only, and the rest of the server does not notice.
type verifier struct {
	key     []byte // of this process: what is remembered gives no password away and cannot be foreseen
	right   *cache[digest, struct{}]
	wrong   *cache[digest, struct{}]
	hashing *semaphore.Weighted
}

type digest [sha256.Size]byte

const rememberedPasswords = 1024

func newVerifier() (*verifier, error) {
	v := &verifier{key: make([]byte, sha256.Size), right: newCache[digest, struct{}](rememberedPasswords),
		wrong: newCache[digest, struct{}](rememberedPasswords), hashing: semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)/2)))}
	if _, err := rand.Read(v.key); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return v, nil
}

// verify tells whether the password is the user's. What it remembers holds for the hash it was compared with, and so is of no
// use once the password was changed.
func (v *verifier) verify(ctx context.Context, u *User, password string) (bool, error) {
	mac := hmac.New(sha256.New, v.key)
	for _, part := range []string{u.LoginName, u.Hash, u.Salt, password} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	d := digest(mac.Sum(nil))
	if _, ok := v.right.peek(d); ok {
		return true, nil
	}
	if _, ok := v.wrong.peek(d); ok {
		return false, nil
	}
	if err := v.hashing.Acquire(ctx, 1); err != nil {
		return false, fmt.Errorf("wait to compare a password: %w", err)
	}
	defer v.hashing.Release(1)
	if u.fits(password) {
		v.right.put(d, struct{}{})
		return true, nil
	}
	v.wrong.put(d, struct{}{})
	return false, nil
}
