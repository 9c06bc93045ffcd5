package eventserver

import (
	"context"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
)

// followedVersion is the EventStoreDB version whose behaviour this server follows.
const followedVersion = "24.6.0"

type features struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

// GetSupportedMethods lists what clients may call. Names are lower case: clients compare them so.
func (*features) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	out := &serverfeatures.SupportedMethods{EventStoreServerVersion: followedVersion}
	for _, m := range supported {
		out.Methods = append(out.Methods, &serverfeatures.SupportedMethod{
			ServiceName: strings.ToLower(m.service), MethodName: strings.ToLower(m.method), Features: m.features})
	}
	return out, nil
}

type method struct {
	service, method string
	features        []string
}

var supported = []method{
	{streamsService, "Read", []string{"position", "events"}},
	{streamsService, "Append", nil},
	{streamsService, "BatchAppend", []string{"deadline_duration"}},
	{streamsService, "Delete", nil},
	{streamsService, "Tombstone", nil},
	{persistentService, "Create", []string{"stream", "all"}},
	{persistentService, "Update", []string{"stream", "all"}},
	{persistentService, "Delete", []string{"stream", "all"}},
	{persistentService, "Read", []string{"stream", "all"}},
	{persistentService, "GetInfo", []string{"stream", "all"}},
	{persistentService, "ReplayParked", []string{"stream", "all"}},
	{persistentService, "List", []string{"stream", "all"}},
	{persistentService, "RestartSubsystem", nil},
	{usersService, "Create", nil},
	{usersService, "Update", nil},
	{usersService, "Delete", nil},
	{usersService, "Disable", nil},
	{usersService, "Enable", nil},
	{usersService, "Details", nil},
	{usersService, "ChangePassword", nil},
	{usersService, "ResetPassword", nil},
	{operationsService, "StartScavenge", nil},
	{operationsService, "StopScavenge", nil},
	{operationsService, "Shutdown", nil},
	{operationsService, "MergeIndexes", nil},
	{operationsService, "ResignNode", nil},
	{operationsService, "SetNodePriority", nil},
	{operationsService, "RestartPersistentSubscriptions", nil},
	{"event_store.client.gossip.Gossip", "Read", nil},
	{monitoringService, "Stats", nil},
	{"event_store.client.server_features.ServerFeatures", "GetSupportedMethods", nil},
}
