package webguard

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Guard refuses what a web page of another site has its browser send. A browser lets any page send requests to loopback: with
// its own name in Host, if its DNS server says that the name is this machine (rebinding), or with ours in Host and its own in Origin.
//
// Go's http.CrossOriginProtection is for methods that change something, and does not look at Host.
type Guard struct {
	// Names are host names, besides localhost and the listener's own address, by which clients call us.
	Names []string
	// Origins are of pages of our own that another address serves: "https://shop.example.com".
	Origins []string
	// Refuse answers a request that is not let in.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, code, detail string)
}

// In lets in what comes from our own pages, or from no page at all.
func (g Guard) In(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.ours(r):
			g.Refuse(w, r, http.StatusMisdirectedRequest, "host_not_served", "this server is not called by the name in Host; its own names are a setting")
		case !g.sameOrigin(r):
			g.Refuse(w, r, http.StatusForbidden, "cross_origin", "pages of other sites may not send requests here")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ours tells whether Host is a name of this server. An address needs no DNS, so it cannot be rebound: those that lead to
// this listener are taken.
func (g Guard) ours(r *http.Request) bool {
	if r.Host == "" {
		return !r.ProtoAtLeast(1, 1) // which no browser speaks
	}
	name := hostname(r.Host)
	if name == "localhost" || slices.ContainsFunc(g.Names, func(n string) bool { return strings.EqualFold(n, name) }) {
		return true
	}
	asked, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	asked = asked.Unmap()
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return asked.IsLoopback()
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	// A connection that did not come over loopback may have been forwarded to us, by a container's engine for one: any address may
	// then be ours. Over loopback only loopback's are.
	return asked.IsLoopback() || !at.Addr().Unmap().IsLoopback()
}

// hostname is the name in Host without port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// sameOrigin goes by what browsers say of where a request comes from: other clients say nothing.
func (g Guard) sameOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		if !g.own(r, origin) {
			return false
		}
	}
	if r.Header.Get("Origin") != "" {
		return true
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		switch site {
		case "same-origin", "none":
		default:
			return isLink(r)
		}
	}
	return true
}

func (g Guard) own(r *http.Request, origin string) bool {
	if slices.ContainsFunc(g.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // "null" among others
	}
	return strings.EqualFold(withPort(u.Host, u.Scheme), withPort(r.Host, u.Scheme))
}

func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// isLink tells whether somebody followed a link to here: that reads, and shows the answer to nobody else.
func isLink(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}
