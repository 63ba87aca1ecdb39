package instrument

import (
	"github.com/uploadtenant/uploadtenant/cloud"
)

// Opener opens accounts through another opener and puts interceptors around every call, the first one
// outermost.
type Opener struct {
	Next cloud.Opener
	// Interceptors for an account.
	Interceptors func(cloud.Account) []Interceptor
	// Collapser shares reads outside of the interceptors; nil shares none.
	Collapser *Collapser
}

// Open opens the account.
func (o *Opener) Open(account cloud.Account) (cloud.Services, error) {
	services, err := o.Next.Open(account)
	if err != nil {
		return cloud.Services{}, err
	}
	interceptors := o.Interceptors(account)
	for i := len(interceptors) - 1; i >= 0; i-- {
		services = Intercept(services, interceptors[i])
	}
	if o.Collapser == nil {
		return services, nil
	}
	return o.Collapser.around(services, account)
}
