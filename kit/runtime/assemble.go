package runtime

import (
	"context"
	"net/http"

	"github.com/daybook-dev/daybook/internal/topic"
)

// listen opens the addresses of this process before anything is started, so that a taken one is known at once.
func (n *Node) listen() error {
	admin, err := n.open("admin", n.cfg.AdminListen, "admin-listen", n.admin(), n.guard())
	if err != nil {
		return err
	}
	n.webs, n.addresses.Admin = append(n.webs, admin), admin.url()
	n.roles = append(n.roles, admin)
	if !n.domain.serves(n.cfg.Roles, everyAPI) {
		return nil
	}
	public, err := n.open("api", n.cfg.Listen, "listen", http.NotFoundHandler(), n.publicGuard())
	if err != nil {
		return err
	}
	n.webs = append(n.webs, public)
	for _, a := range n.domain.apis() {
		if n.cfg.Has(a.Role) {
			n.addresses.set(a.Address, public.url())
		}
	}
	return nil
}

// publicName is the label of the public listener in metrics: the role that people call, or an API by itself.
func (n *Node) publicName() string {
	for _, a := range n.domain.apis() {
		if a.Address == addressAPI && n.cfg.Has(a.Role) {
			return a.Role
		}
	}
	return roleAPI
}

// assemble makes the roles of this process out of the system it is connected to. Deployments begin first, whatever the
// roles: nothing recorded before the sagas first ran anywhere is forgotten.
func (n *Node) assemble(ctx context.Context, keys *topic.Keys) error {
	first, err := n.system.deploy(ctx)
	if err != nil {
		return err
	}
	if err := n.engines(ctx, keys, first); err != nil {
		return err
	}
	return n.routes()
}

func (n *Node) add(name string, run func(context.Context) error) {
	n.roles = append(n.roles, role{name, run})
}

// routes serves the domain's API.
func (n *Node) routes() error {
	if n.domain.Routes == nil || !n.domain.serves(n.cfg.Roles, everyAPI) {
		return nil
	}
	services := n.services()
	handler, err := n.domain.Routes(services)
	if err != nil {
		return err
	}
	if !n.domain.Fronted {
		handler = services.Front(handler)
	}
	public := n.webs[len(n.webs)-1]
	public.serve(handler)
	n.roles = append(n.roles, public)
	return nil
}
