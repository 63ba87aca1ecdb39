// Package aliyun implements package cloud over the SDKs of Alibaba Cloud: alibaba-cloud-sdk-go for RAM and
// STS, alibabacloud-oss-go-sdk-v2 for OSS. It is the only place where an SDK error is looked at: classify.go
// turns each into a *cloud.Error by its code.
package aliyun
