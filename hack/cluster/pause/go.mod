module github.com/uploadtenant/uploadtenant/hack/cluster/pause

go 1.26.0
