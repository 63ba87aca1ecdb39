package oss

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

type objectXML struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int64
	StorageClass string
	Owner        *owner `xml:",omitempty"`
	RestoreInfo  string `xml:",omitempty"`
}

type prefixXML struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	NextMarker            string      `xml:",omitempty"`
	NextContinuationToken string      `xml:",omitempty"`
	KeyCount              *int        `xml:",omitempty"`
	Contents              []objectXML `xml:"Contents"`
	CommonPrefixes        []prefixXML
}

func (q *request) listObjects() *Error {
	v, err := q.listQuery("marker")
	if err != nil {
		return err
	}
	out, page, encode, err := q.listPage(v, true)
	if err != nil {
		return err
	}
	marker := encode(v.after)
	out.Marker = &marker
	if page.Truncated {
		out.NextMarker = encode(page.Next)
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

func (q *request) listObjectsV2() *Error {
	if q.param("list-type") != "2" {
		return invalidArgument("", "list-type", q.param("list-type"), "The list-type argument must be 2.")
	}
	v, err := q.listQuery("start-after")
	if err != nil {
		return err
	}
	startAfter := v.after
	if token := q.param("continuation-token"); token != "" {
		raw, decodeErr := base64.StdEncoding.DecodeString(token)
		if decodeErr != nil {
			return invalidArgument("", "continuation-token", token, "The continuation token provided is incorrect.")
		}
		v.after = string(raw)
	}
	out, page, encode, err := q.listPage(v, q.param("fetch-owner") == "true")
	if err != nil {
		return err
	}
	out.StartAfter, out.ContinuationToken = encode(startAfter), q.param("continuation-token")
	count := len(page.Objects) + len(page.Prefixes)
	out.KeyCount = &count
	if page.Truncated {
		out.NextContinuationToken = base64.StdEncoding.EncodeToString([]byte(page.Next))
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

func (q *request) listPage(v listQueryParams, withOwner bool) (listResult, store.Listing, func(string) string, *Error) {
	encode, err := q.encoder()
	if err != nil {
		return listResult{}, store.Listing{}, nil, err
	}
	page, listErr := q.server.store.ListObjects(q.bucket, store.List{Prefix: v.prefix, Delimiter: v.delimiter, After: v.after, Max: v.max})
	if listErr != nil {
		return listResult{}, page, encode, fromStore(listErr, q.bucket, "")
	}
	out := listResult{
		Name: q.bucket, Prefix: encode(v.prefix), MaxKeys: v.max, Delimiter: encode(v.delimiter),
		EncodingType: q.param("encoding-type"), IsTruncated: page.Truncated,
	}
	delay := time.Duration(0)
	if hook := q.server.opts.Hooks.ListDelay; hook != nil {
		delay = hook()
	}
	for _, o := range page.Objects {
		if delay > 0 && q.now.Sub(o.Modified) < delay {
			continue
		}
		x := objectXML{
			Key: encode(o.Key), LastModified: xmlTime(o.Modified), ETag: `"` + o.ETag + `"`, Type: o.Type, Size: o.Size, StorageClass: o.StorageClass,
		}
		if withOwner {
			own := q.server.owner()
			x.Owner = &own
		}
		x.RestoreInfo = restoreState(o, q.now)
		out.Contents = append(out.Contents, x)
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{encode(p)})
	}
	return out, page, encode, nil
}

type versionXML struct {
	XMLName      xml.Name
	Key          string
	VersionId    string
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Type         string `xml:",omitempty"`
	Size         *int64 `xml:",omitempty"`
	StorageClass string `xml:",omitempty"`
	Owner        owner
}

type listVersionsResult struct {
	XMLName             xml.Name `xml:"ListVersionsResult"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIdMarker     string
	MaxKeys             int
	Delimiter           string
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIdMarker string `xml:",omitempty"`
	Entries             []versionXML
	CommonPrefixes      []prefixXML
}

func (q *request) listObjectVersions() *Error {
	v, err := q.listQuery("key-marker")
	if err != nil {
		return err
	}
	encode, err := q.encoder()
	if err != nil {
		return err
	}
	marker := q.param("version-id-marker")
	page, listErr := q.server.store.ListVersions(q.bucket, store.List{
		Prefix: v.prefix, Delimiter: v.delimiter, After: v.after, AfterVersion: marker, Max: v.max,
	})
	if listErr != nil {
		return fromStore(listErr, q.bucket, "")
	}
	out := listVersionsResult{
		Name: q.bucket, Prefix: encode(v.prefix), KeyMarker: encode(v.after), VersionIdMarker: marker, MaxKeys: v.max,
		Delimiter: encode(v.delimiter), EncodingType: q.param("encoding-type"), IsTruncated: page.Truncated,
	}
	if page.Truncated {
		out.NextKeyMarker, out.NextVersionIdMarker = encode(page.Next), page.NextVersion
	}
	for i, o := range page.Objects {
		x := versionXML{
			XMLName: xml.Name{Local: "Version"}, Key: encode(o.Key), VersionId: o.VersionID, IsLatest: page.Latest[i],
			LastModified: xmlTime(o.Modified), Owner: q.server.owner(),
		}
		if o.DeleteMarker {
			x.XMLName.Local = "DeleteMarker"
		} else {
			x.ETag, x.Type, x.Size, x.StorageClass = `"`+o.ETag+`"`, o.Type, &o.Size, o.StorageClass
		}
		out.Entries = append(out.Entries, x)
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{encode(p)})
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

type bucketXML struct {
	Comment          string
	CreationDate     string
	ExtranetEndpoint string
	IntranetEndpoint string
	Location         string
	Name             string
	Region           string
	ResourceGroupId  string `xml:",omitempty"`
	StorageClass     string
}

type listBucketsResult struct {
	XMLName     xml.Name `xml:"ListAllMyBucketsResult"`
	Owner       owner
	Prefix      string      `xml:",omitempty"`
	Marker      string      `xml:",omitempty"`
	MaxKeys     int         `xml:",omitempty"`
	IsTruncated bool        `xml:",omitempty"`
	NextMarker  string      `xml:",omitempty"`
	Buckets     []bucketXML `xml:"Buckets>Bucket"`
}

func (q *request) listBuckets() *Error {
	limit, err := q.count("max-keys", 100, 1, 1000)
	if err != nil {
		return err
	}
	out := listBucketsResult{Owner: q.server.owner(), Prefix: q.param("prefix"), Marker: q.param("marker")}
	for _, b := range q.server.store.Buckets() {
		if !strings.HasPrefix(b.Name, out.Prefix) || b.Name <= out.Marker || !q.hasTag(b) {
			continue
		}
		if len(out.Buckets) == limit {
			out.IsTruncated, out.MaxKeys = true, limit
			out.NextMarker = out.Buckets[limit-1].Name
			break
		}
		ext, in := q.server.endpoints()
		out.Buckets = append(out.Buckets, bucketXML{
			CreationDate: xmlTime(b.Created), ExtranetEndpoint: ext, IntranetEndpoint: in, Location: b.Location, Name: b.Name,
			Region: q.server.opts.Region, StorageClass: b.StorageClass, ResourceGroupId: resourceGroup(b),
		})
	}
	q.writeXML(http.StatusOK, out)
	return nil
}

// hasTag applies the filters tag-key, tag-value and tagging ("k":"v") of ListBuckets.
func (q *request) hasTag(b *store.Bucket) bool {
	key, value := q.param("tag-key"), q.param("tag-value")
	if t := q.param("tagging"); t != "" {
		k, v, _ := strings.Cut(t, ":")
		key, value = strings.Trim(k, `"`), strings.Trim(v, `"`)
	}
	if key == "" {
		return true
	}
	return slices.ContainsFunc(b.Tags, func(t store.Tag) bool { return t.Key == key && (value == "" || t.Value == value) })
}

// endpoints are the public and the internal name of the region, as documents tell them.
func (s *Server) endpoints() (extranet, intranet string) {
	return "oss-" + s.opts.Region + ".aliyuncs.com", "oss-" + s.opts.Region + "-internal.aliyuncs.com"
}

type regionInfoXML struct {
	Region, InternetEndpoint, InternalEndpoint, AccelerateEndpoint string
}

func (q *request) describeRegions() *Error {
	type list struct {
		XMLName    xml.Name `xml:"RegionInfoList"`
		RegionInfo []regionInfoXML
	}
	name := "oss-" + q.server.opts.Region
	if r := q.param("regions"); r != "" && r != name {
		return newError(http.StatusNotFound, "NoSuchRegion", "", "The specified region does not exist.")
	}
	ext, in := q.server.endpoints()
	q.writeXML(http.StatusOK, list{RegionInfo: []regionInfoXML{{name, ext, in, "oss-accelerate.aliyuncs.com"}}})
	return nil
}

// Timestamp of the bucket's newest change, for GetBucketStat.
func unix(t time.Time) int64 { return t.Unix() }
