package lru_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/daybook-dev/daybook/internal/lru"
)

// overhead of an entry.
const overhead = 512

type value struct{ key int }

func take(c *lru.Cache[int, *value], key int) *value {
	return c.Take(key, func() *value { return &value{key} })
}

// put keeps a value of so many bytes that is not in use.
func put(c *lru.Cache[int, *value], key, bytes int) *value {
	v := take(c, key)
	c.Weigh(key, bytes-overhead)
	c.Leave(key)
	return v
}

func kept(c *lru.Cache[int, *value], keys ...int) (out []int) {
	for _, key := range keys {
		if _, ok := c.Get(key); ok {
			c.Leave(key)
			out = append(out, key)
		}
	}
	return out
}

func TestTheLeastRecentlyUsedLeaveFirst(t *testing.T) {
	t.Parallel()
	c := lru.New[int, *value](3000)
	first := put(c, 1, 1000)
	put(c, 2, 1000)
	put(c, 3, 1000)
	if again := put(c, 1, 1000); again != first {
		t.Error("a kept value was made again")
	}
	put(c, 4, 1000)
	if got := kept(c, 1, 2, 3, 4); !slices.Equal(got, []int{1, 3, 4}) {
		t.Errorf("kept are %v", got)
	}
	put(c, 5, 2500) // as much as two and a half others
	if got := kept(c, 1, 2, 3, 4, 5); !slices.Equal(got, []int{5}) {
		t.Errorf("beside a large value are kept %v", got)
	}
}

func TestAValueInUseStays(t *testing.T) {
	t.Parallel()
	c := lru.New[int, *value](1000)
	v := take(c, 1)
	c.Weigh(1, 5000)
	put(c, 2, 800)
	if got := kept(c, 1, 2); !slices.Equal(got, []int{1}) {
		t.Errorf("beside one in use are kept %v", got)
	}
	if again := take(c, 1); again != v {
		t.Error("two values of one key")
	}
	c.Leave(1)
	if n, inUse, bytes := c.Kept(); n != 1 || inUse != 1 || bytes != 5000+overhead {
		t.Errorf("%d values, %d in use, %d bytes", n, inUse, bytes)
	}
	c.Leave(1) // the last one
	if n, inUse, bytes := c.Kept(); n+inUse+bytes != 0 {
		t.Errorf("%d values, %d in use, %d bytes", n, inUse, bytes)
	}
}

func TestTheBudgetMayChange(t *testing.T) {
	t.Parallel()
	c := lru.New[int, *value](10_000)
	for key := range 5 {
		put(c, key, 1000)
	}
	c.Hold(2000)
	if put(c, 9, 1000); len(kept(c, 3, 4, 9)) != 2 {
		t.Errorf("kept are %v", kept(c, 0, 1, 2, 3, 4, 9))
	}
}

// Whatever its users do at the same time: one value per key is in use, and what is kept is what was weighed.
func TestManyUsersAtOnce(t *testing.T) {
	t.Parallel()
	const budget, keys = 20 << 10, 50
	c := lru.New[int, *value](budget)
	var mu sync.Mutex
	inUse, users := map[int]*value{}, map[int]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				key := rand.IntN(keys)
				v := take(c, key)
				mu.Lock()
				if other := inUse[key]; users[key] > 0 && other != v {
					t.Errorf("two values of %d are in use", key)
				}
				inUse[key] = v
				users[key]++
				mu.Unlock()
				c.Weigh(key, rand.IntN(3000))
				mu.Lock()
				users[key]--
				mu.Unlock()
				c.Leave(key)
			}
		})
	}
	all.Wait()
	if n, used, bytes := c.Kept(); used != 0 || bytes > budget || n != len(kept(c, slices.Collect(maps.Keys(users))...)) {
		t.Errorf("%d values, %d in use, %d bytes", n, used, bytes)
	}
}
