package llm

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/sashabaranov/go-openai"
)

// azureVersion is the default version of Azure's API: the latest one that Azure calls stable for
// the addresses that need a version.
const azureVersion = "2024-10-21"

// clientConfig returns how to address a provider: like OpenAI, or like Azure, which has its own
// header for the key and takes the version of its API in the query. An address at another host is
// treated as Azure if a version is configured. Azure's addresses have one of three forms:
//
//	https://NAME.openai.azure.com[/openai]                         a deployment has the name of its model
//	https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT    the name of the model is ignored
//	https://NAME.openai.azure.com/openai/v1                        like OpenAI
//
// Azure's portal shows the address of an operation, which is one of these with a suffix; the suffix
// is removed.
func clientConfig(cfg OpenAIConfig) (openai.ClientConfig, *url.URL, error) {
	base, err := url.Parse(cmp.Or(cfg.BaseURL, defaultBaseURL))
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return openai.ClientConfig{}, nil, fmt.Errorf("provider's base URL %q: want http(s)://host[:port]/v1", redactURL(cfg.BaseURL))
	}
	query := base.Query()
	version := cmp.Or(cfg.APIVersion, query.Get("api-version"))
	query.Del("api-version")
	if len(query) > 0 || base.Fragment != "" {
		return openai.ClientConfig{}, nil, fmt.Errorf("provider's base URL at %s: want http(s)://host[:port]/v1, without ? and #", base.Host)
	}
	base.RawQuery, base.ForceQuery = "", false
	path := strings.TrimRight(base.Path, "/")
	for _, operation := range []string{"/embeddings", "/chat/completions"} {
		path = strings.TrimSuffix(path, operation)
	}
	base.Path, base.RawPath = path, ""

	if version == "" && !isAzure(base) {
		client := openai.DefaultConfig(cfg.APIKey)
		client.BaseURL = base.String()
		return client, base, nil
	}
	client := openai.DefaultAzureConfig(cfg.APIKey, "")
	client.AzureModelMapperFunc = url.PathEscape
	switch {
	case strings.HasSuffix(path, "/v1"):
		client.APIVersion = version
		client.APIType = openai.APITypeCloudflareAzure // Azure's header, and the address unchanged
	case strings.Contains(path, "/deployments/"):
		client.APIVersion = cmp.Or(version, azureVersion)
		client.APIType = openai.APITypeCloudflareAzure
	default:
		base.Path = strings.TrimSuffix(path, "/openai")
		client.APIVersion = cmp.Or(version, azureVersion)
	}
	client.BaseURL = base.String()
	return client, base, nil
}

// isAzure reports whether an address has the form of Azure's addresses.
func isAzure(base *url.URL) bool {
	host := strings.ToLower(base.Hostname())
	for _, domain := range []string{".azure.com", ".azure.us", ".azure.cn", ".azure-api.net"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return strings.Contains(base.Path, "/openai/deployments/")
}

// redactURL removes what may be secret from an invalid URL.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}
