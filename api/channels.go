package api

import (
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

func (s *server) channelRoutes() []route {
	return []route{
		rest.JSON("GET", "/api/v1/channels", auth.ReadPublic, "List what can be asked for: the function contract's fields, what records brought beside them, what administrators declared, and what is made of others.", s.listChannels),
		rest.JSON("PUT", "/api/v1/channels/:name", auth.ComputeChannels, "Declare a channel, or say what one is: what the body leaves out is unknown afterwards. Internal accounts may do so for channels that are made of others (expression), but change only their own. The unit and the meaning of the function contract's fields stay.", s.putChannel, rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/channels/:name", auth.EditChannels, "Hide a channel from lists and pickers. Its values stay, and can be asked for by name.", s.hideChannel, rest.FailsWith(fault.NotFound)),
		rest.JSON("GET", "/api/v1/sessions/:id/channels", auth.ReadSeries, "List the channels that a run has, with how many records carry each, when, and between which values; and what became no channel.", s.sessionChannels),
	}
}

type channelsAnswer struct {
	Channels []shown.KnownChannelView `json:"channels"`
}

func (s *server) listChannels(r *request, p *shown.Params) (out channelsAnswer, err error) {
	set, err := s.Store.Channels.Current(r.Request.Context())
	if err != nil {
		return out, err
	}
	out.Channels = []shown.KnownChannelView{}
	for _, c := range set.All() {
		out.Channels = append(out.Channels, shown.Channel(c, p.System(r.Principal)))
	}
	return out, nil
}

type putChannelParams struct{ Body registry.Definition }

func (s *server) putChannel(r *request, p *putChannelParams) (shown.KnownChannelView, error) {
	name := r.Param("name")
	put := s.Store.Channels.Put
	if allowed := auth.Allow(r.Principal, auth.EditChannels, auth.SessionAge{}); !allowed.Allowed {
		if p.Body.Expression == "" || p.Body.Hidden { // to hide is an administrator's, by PUT as by DELETE
			return shown.KnownChannelView{}, allowed.Err
		}
		put = s.Store.Channels.PutOwn
	}
	ctx := r.Audited(auth.ChannelChanged, map[string]any{"channel": fault.Clip(name)})
	c, err := put(ctx, r.Principal.UserID, name, p.Body)
	if err != nil {
		return shown.KnownChannelView{}, err
	}
	return shown.Channel(c, ""), nil
}

func (s *server) hideChannel(r *request, _ *none) (none, error) {
	name := r.Param("name")
	return none{}, s.Store.Channels.Hide(r.Audited(auth.ChannelHidden, map[string]any{"channel": fault.Clip(name)}), name)
}

// otherMemberView is a member of a run's records that became no channel.
type otherMemberView struct {
	Member  string `json:"member" doc:"Its name, as in the records"`
	Records int64  `json:"records" doc:"Records that have it"`
	Reason  string `json:"reason" doc:"Why it became none"`
}

type sessionChannelsAnswer struct {
	Channels []shown.RunChannelView `json:"channels"`
	Others   []otherMemberView      `json:"others" doc:"Members of the records that became no channel"`
}

func (s *server) sessionChannels(r *request, p *shown.Params) (out sessionChannelsAnswer, err error) {
	held, others, err := s.Store.SessionChannels(r.Request.Context(), r.Session.ID)
	if err != nil {
		return out, err
	}
	out = sessionChannelsAnswer{make([]shown.RunChannelView, len(held)), make([]otherMemberView, len(others))}
	for i, h := range held {
		out.Channels[i] = shown.RunChannel(h, p.System(r.Principal))
	}
	for i, o := range others {
		out.Others[i] = otherMemberView{o.Member.Member, o.Records, o.Why}
	}
	return out, nil
}
