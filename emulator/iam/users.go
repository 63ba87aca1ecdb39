package iam

import (
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

type userView struct {
	UserId, UserName, DisplayName string
	MobilePhone, Email, Comments  string `json:",omitempty" xml:",omitempty"`
	CreateDate, UpdateDate        string
	AttachDate                    string    `json:",omitempty" xml:",omitempty"`
	Tags                          *tagsView `json:",omitempty" xml:",omitempty"`
}

func viewUser(u *user) userView {
	return userView{UserId: u.ID, UserName: u.Name, DisplayName: u.DisplayName, MobilePhone: u.MobilePhone, Email: u.Email,
		Comments: u.Comments, CreateDate: formatTime(u.Created), UpdateDate: formatTime(u.Updated), Tags: viewTags(u.Tags)}
}

func createUser(c *call) (any, *rpc.Error) {
	name, e := c.name("UserName", names.user, maxUserName)
	if e != nil {
		return nil, e
	}
	tags, e := c.tags()
	if e != nil {
		return nil, e
	}
	u := &user{Name: name, ID: numericID('2', c.svc.randomBytes(8)), DisplayName: c.params["DisplayName"],
		MobilePhone: c.params["MobilePhone"], Email: c.params["Email"], Comments: c.params["Comments"],
		Created: c.now.UTC(), Updated: c.now.UTC(), Tags: tags}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.users[name] != nil {
		return nil, alreadyExists("User", "The user does already exist.")
	}
	if len(s.current.users) >= maxUsers {
		return nil, limitExceeded("User", "The count of user beyond the current limits.")
	}
	return struct{ User userView }{viewUser(u)}, s.commit(change{Kind: kindUser, Name: name, decoded: u})
}

func getUser(c *call) (any, *rpc.Error) {
	name, e := c.name("UserName", names.user, maxUserName)
	if e != nil {
		return nil, e
	}
	var u *user
	c.svc.read(func(st *state) { u = st.users[name] })
	if u == nil {
		return nil, errNoUser()
	}
	return struct{ User userView }{viewUser(u)}, nil
}

func updateUser(c *call) (any, *rpc.Error) {
	name, e := c.name("UserName", names.user, maxUserName)
	if e != nil {
		return nil, e
	}
	if newName := c.params["NewUserName"]; newName != "" && newName != name {
		return nil, &rpc.Error{Status: 400, Code: "UnsupportedOperation", Message: "The emulator does not rename users."}
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.users[name]
	if old == nil {
		return nil, errNoUser()
	}
	u := *old
	u.Updated = c.now.UTC()
	for parameter, field := range map[string]*string{"NewDisplayName": &u.DisplayName, "NewMobilePhone": &u.MobilePhone,
		"NewEmail": &u.Email, "NewComments": &u.Comments} {
		if v := c.params[parameter]; v != "" {
			*field = v
		}
	}
	return struct{ User userView }{viewUser(&u)}, s.commit(change{Kind: kindUser, Name: name, decoded: &u})
}

func deleteUser(c *call) (any, *rpc.Error) {
	name, e := c.name("UserName", names.user, maxUserName)
	if e != nil {
		return nil, e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.current.users[name]
	if u == nil {
		return nil, errNoUser()
	}
	if len(u.Attached) > 0 {
		return nil, deleteConflict("User.Policy", "The user CAN NOT has any attached policy while deleting the user.")
	}
	if name == AdminUser || len(s.current.keysOf(name)) > 0 {
		return nil, deleteConflict("User.AccessKey", "The user CAN NOT has any access key while deleting the user.")
	}
	return nil, s.commit(change{Kind: kindUser, Name: name})
}

func listUsers(c *call) (any, *rpc.Error) {
	var users map[string]*user
	c.svc.read(func(st *state) { users = st.clone().users })
	page, next, e := c.page(keysOf(users))
	if e != nil {
		return nil, e
	}
	out := struct {
		IsTruncated bool
		Marker      string `json:",omitempty" xml:",omitempty"`
		Users       struct{ User []userView }
	}{IsTruncated: next != "", Marker: next}
	out.Users.User = []userView{}
	for _, name := range page {
		out.Users.User = append(out.Users.User, viewUser(users[name]))
	}
	return out, nil
}

func (s *state) keysOf(userName string) []*accessKey {
	var out []*accessKey
	for _, k := range s.keys {
		if k.User == userName {
			out = append(out, k)
		}
	}
	return out
}
