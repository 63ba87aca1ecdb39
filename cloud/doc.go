// Package cloud is what the controllers know of Alibaba Cloud: small interfaces declared by need, domain
// structs, and a closed set of error classes. Package cloud/aliyun implements it over the SDKs; nothing
// here depends on one.
//
// Every method honours its context, returns errors of type *Error, and reports "does not exist" as
// found=false or as a nil error of a deletion, never as an error.
package cloud
