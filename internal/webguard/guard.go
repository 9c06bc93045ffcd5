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
	// Names are host names and addresses, besides localhost and the address a request arrives at, by which clients call us.
	Names []string
	// Origins are of pages of our own that another address serves: "https://shop.example.com". What follows the host does not count.
	Origins []string
	// Refuse answers a request that is not let in.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, code, detail string)
}

// At adds the address that a listener has. One of all interfaces is called by the unspecified address too: it is what the
// listener's own URL says.
func (g Guard) At(l net.Listener) Guard {
	at, err := netip.ParseAddrPort(l.Addr().String())
	switch {
	case err != nil:
		return g
	case at.Addr().IsUnspecified():
		g.Names = append(slices.Clone(g.Names), netip.IPv4Unspecified().String(), netip.IPv6Unspecified().String())
	default:
		g.Names = append(slices.Clone(g.Names), at.Addr().String())
	}
	return g
}

// In lets in what comes from our own pages, or from no page at all.
func (g Guard) In(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.ours(r):
			g.Refuse(w, r, http.StatusMisdirectedRequest, "host_not_served", "this server is not called by the name in Host; name it in --host-names if it should be")
		case !g.sameOrigin(r):
			g.Refuse(w, r, http.StatusForbidden, "cross_origin", "pages of other sites may not send requests here")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ours reports whether Host is a name of this server, or an address of it: loopback, the one that the request arrived at, or one
// of Names. An address that is forwarded to this one is known from Names only.
func (g Guard) ours(r *http.Request) bool {
	if r.Host == "" {
		return !r.ProtoAtLeast(1, 1) // which no browser speaks
	}
	name := hostname(r.Host)
	if name == "localhost" || slices.ContainsFunc(g.Names, func(n string) bool { return hostname(n) == name }) {
		return true
	}
	asked, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	return asked.IsLoopback() || asked == arrivedAt(r)
}

// arrivedAt is this machine's address of the request's connection; the zero Addr if that is not over TCP.
func arrivedAt(r *http.Request) netip.Addr {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// hostname is the name in Host in its one form: without port, brackets, the root's dot and a zone, addresses as netip writes them.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
		if inner, ok := strings.CutPrefix(host, "["); ok {
			name = strings.TrimSuffix(inner, "]")
		}
	}
	if at, err := netip.ParseAddr(name); err == nil {
		return at.Unmap().WithZone("").String()
	}
	if strings.HasPrefix(host, "[") {
		return "" // brackets are for addresses
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
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
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(origin, u.Scheme+"://"+u.Host) {
		return false // "null" among others
	}
	page, scheme := withPort(u.Host, u.Scheme), u.Scheme
	return page == withPort(r.Host, scheme) || slices.ContainsFunc(g.Origins, func(o string) bool {
		own, err := url.Parse(o)
		return err == nil && own.Scheme == scheme && withPort(own.Host, scheme) == page
	})
}

func withPort(host, scheme string) string {
	_, port, err := net.SplitHostPort(host)
	if err != nil || port == "" {
		if port = "80"; scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(hostname(host), port)
}

// isLink tells whether somebody followed a link to here: that reads, and shows the answer to no other site.
func isLink(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}
