package api

import (
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

func (s *server) channelRoutes() []route {
	return []route{
		rest.JSON("GET", "/api/v1/channels", auth.ReadPublic, "List what can be asked for: the function contract's fields, what records brought beside them, what administrators declared, and what is made of others.", s.listChannels),
		rest.JSON("PUT", "/api/v1/channels/:name", auth.ComputeChannels, "Declare a channel, or say what one is: what the body leaves out is unknown afterwards. Internal accounts may do so for channels that are made of others (expression). The unit and the meaning of the function contract's fields stay.", s.putChannel, rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/channels/:name", auth.EditChannels, "Hide a channel from lists and pickers. Its values stay, and can be asked for by name.", s.hideChannel, rest.FailsWith(fault.NotFound)),
		rest.JSON("GET", "/api/v1/sessions/:id/channels", auth.ReadSeries, "List the channels that a run has, with how many records carry each, when, and between which values; and what became no channel.", s.sessionChannels),
	}
}

// knownChannelView is a channel as REST shows it.
type knownChannelView struct {
	Name    string  `json:"name" doc:"Name by which it is asked for"`
	Kind    string  `json:"kind" enum:"contract,seen,declared,math" doc:"A field of the function contract, one that came in a record, one that somebody declared, or one that is made of others"`
	Type    string  `json:"type" doc:"What its values are; a boolean is a number, 0 or 1"`
	Unit    *string `json:"unit" doc:"Unit of its values; null where there is none, or it is not known"`
	Meaning *string `json:"meaning" doc:"What is measured"`
	Member  *string `json:"member,omitempty" doc:"What records call it, where that is not its name"`
	Charted bool    `json:"charted" doc:"It can be asked of the series routes"`
	Hidden  bool    `json:"hidden" doc:"Left out of lists and pickers"`
	// Expression is of math channels alone.
	Expression string `json:"expression,omitempty" doc:"What it is made of"`
	registry.About
}

func viewChannel(c registry.Channel) knownChannelView {
	member := c.Member
	if member == c.Name || !c.Came {
		member = ""
	}
	return knownChannelView{
		c.Name, c.Kind, c.Type.String(), nullIfZero(c.Unit), nullIfZero(c.Meaning), nullIfZero(member),
		c.Charted || rollup.IsState(c.Channel), c.Hidden, c.Expression, c.About,
	}
}

type channelsAnswer struct {
	Channels []knownChannelView `json:"channels"`
}

func (s *server) listChannels(r *request, _ *none) (out channelsAnswer, err error) {
	set, err := s.Store.Channels.Current(r.Request.Context())
	if err != nil {
		return out, err
	}
	out.Channels = []knownChannelView{}
	for _, c := range set.All() {
		out.Channels = append(out.Channels, viewChannel(c))
	}
	return out, nil
}

type putChannelParams struct{ Body registry.Definition }

func (s *server) putChannel(r *request, p *putChannelParams) (knownChannelView, error) {
	name := r.Param("name")
	if p.Body.Expression == "" {
		if allowed := auth.Allow(r.Principal, auth.EditChannels, auth.SessionAge{}); !allowed.Allowed {
			return knownChannelView{}, allowed.Err
		}
	}
	ctx := r.Audited(auth.ChannelChanged, map[string]any{"channel": fault.Clip(name)})
	c, err := s.Store.Channels.Put(ctx, r.Principal.UserID, name, p.Body)
	if err != nil {
		return knownChannelView{}, err
	}
	return viewChannel(c), nil
}

func (s *server) hideChannel(r *request, _ *none) (none, error) {
	name := r.Param("name")
	return none{}, s.Store.Channels.Hide(r.Audited(auth.ChannelHidden, map[string]any{"channel": fault.Clip(name)}), name)
}

// runChannelView is what a run has of a channel. Values are in its unit.
type runChannelView struct {
	knownChannelView
	Records *int64     `json:"records" doc:"Records that carry it; null where they are not counted: states of a long run"`
	First   *time.Time `json:"first" doc:"Time of the oldest of them"`
	Last    *time.Time `json:"last" doc:"Time of the newest of them"`
	Min     *float64   `json:"min" doc:"Lowest value, in its unit"`
	Max     *float64   `json:"max" doc:"Highest value, in its unit"`
	Levels  bool       `json:"levels" doc:"Charts of long windows have levels to read; else they are made from the records, which takes longer"`
}

// otherMemberView is a member of a run's records that became no channel.
type otherMemberView struct {
	Member  string `json:"member" doc:"Its name, as in the records"`
	Records int64  `json:"records" doc:"Records that have it"`
	Reason  string `json:"reason" doc:"Why it became none"`
}

type sessionChannelsAnswer struct {
	Channels []runChannelView  `json:"channels"`
	Others   []otherMemberView `json:"others" doc:"Members of the records that became no channel"`
}

func (s *server) sessionChannels(r *request, _ *none) (out sessionChannelsAnswer, err error) {
	held, others, err := s.Store.SessionChannels(r.Request.Context(), r.Session.ID)
	if err != nil {
		return out, err
	}
	out = sessionChannelsAnswer{make([]runChannelView, len(held)), make([]otherMemberView, len(others))}
	for i, h := range held {
		out.Channels[i] = runChannelView{viewChannel(h.Channel), h.Records, h.First, h.Last, h.Min, h.Max, h.Levels}
	}
	for i, o := range others {
		out.Others[i] = otherMemberView{o.Member.Member, o.Records, o.Why}
	}
	return out, nil
}
