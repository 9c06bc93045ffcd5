package store

// headCache keeps the heads of streams lately written, in two generations: when the young one is full it becomes the
// old one, and what was not used since is forgotten.
type headCache struct {
	young, old map[string]head
}

// headCacheSize is how many heads a generation has: about 200 bytes each. A stream that is written is mostly written again within seconds.
const headCacheSize = 1 << 13

func newHeadCache() *headCache { return &headCache{young: map[string]head{}} }

func (c *headCache) get(stream string) (head, bool) {
	if h, ok := c.young[stream]; ok {
		return h, true
	}
	h, ok := c.old[stream]
	if ok {
		c.put(stream, h)
	}
	return h, ok
}

func (c *headCache) put(stream string, h head) {
	if len(c.young) >= headCacheSize {
		c.old, c.young = c.young, make(map[string]head, headCacheSize)
	}
	c.young[stream] = h
}
