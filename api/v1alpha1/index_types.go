package v1alpha1

// IndexSpec chooses the signer's database. The bucket remains the ledger: the sweeper fills a new database
// from the objects in it.
type IndexSpec struct {
	// postgres keeps the index in a PostgreSQL database, so that several replicas of the signer share it. Left
	// out, the signer's one replica has an embedded database.
	// +optional
	Postgres *PostgresSpec `json:"postgres,omitempty"`
}

// PostgresSpec names a PostgreSQL database, version 15 or later. Each tenant has a schema of its own in it,
// so that tenants may share a database.
type PostgresSpec struct {
	// secretRef names the Secret and key with the connection string, for example
	// postgres://user:password@host:5432/database?sslmode=verify-full. When the Secret also has the key ca.crt,
	// the signer finds it as /etc/uploadtenant/secrets/index/ca.crt, for sslrootcert.
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`

	// port of the database, which the signer's NetworkPolicy lets through.
	// +kubebuilder:default=5432
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port *int32 `json:"port,omitempty"`
}
