package iam

import "github.com/uploadtenant/uploadtenant/emulator/iam/rpc"

// internalError is the answer when the emulator itself fails; its log says why.
var internalError = &rpc.Error{Status: 500, Code: "InternalError", Message: "The request processing has failed due to some unknown error."}

func notExist(what, message string) *rpc.Error {
	return &rpc.Error{Status: 404, Code: "EntityNotExist." + what, Message: message}
}

func alreadyExists(what, message string) *rpc.Error {
	return &rpc.Error{Status: 409, Code: "EntityAlreadyExists." + what, Message: message}
}

func limitExceeded(what, message string) *rpc.Error {
	return &rpc.Error{Status: 409, Code: "LimitExceeded." + what, Message: message}
}

func deleteConflict(what, message string) *rpc.Error {
	return &rpc.Error{Status: 409, Code: "DeleteConflict." + what, Message: message}
}

func invalid(parameter, message string) *rpc.Error {
	return &rpc.Error{Status: 400, Code: "InvalidParameter." + parameter, Message: message}
}

func errNoRole() *rpc.Error   { return notExist("Role", "The role does not exist.") }
func errNoPolicy() *rpc.Error { return notExist("Policy", "The policy does not exist.") }
func errNoUser() *rpc.Error   { return notExist("User", "The user does not exist.") }
